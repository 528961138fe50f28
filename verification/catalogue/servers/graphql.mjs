// A small schema behind graphql-transport-ws.
import { GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { WebSocketServer } from "ws";

const text = { type: new GraphQLNonNull(GraphQLString) };
const schema = new GraphQLSchema({
  query: new GraphQLObjectType({
    name: "Query",
    fields: { hello: { type: GraphQLString, args: { name: text }, resolve: (_, { name }) => `Hello ${name}` } },
  }),
  mutation: new GraphQLObjectType({
    name: "Mutation",
    fields: { add: { type: GraphQLString, args: { title: text }, resolve: (_, { title }) => title } },
  }),
  subscription: new GraphQLObjectType({
    name: "Subscription",
    fields: {
      countdown: {
        type: GraphQLInt,
        args: { from: { type: new GraphQLNonNull(GraphQLInt) } },
        async *subscribe(_, { from }) {
          for (let i = from; i >= 0; i--) yield { countdown: i };
        },
      },
    },
  }),
});
useServer({ schema }, new WebSocketServer({ host: "127.0.0.1", port: +process.env.PORT, path: "/graphql" }));
