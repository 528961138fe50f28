// A SocketCluster server with the procedure add.
const server = require("http").createServer();
const agServer = require("socketcluster-server").attach(server, { path: "/socketcluster/" });
(async () => {
  for await (const { socket } of agServer.listener("connection")) {
    (async () => {
      for await (const request of socket.procedure("add")) request.end(request.data.a + request.data.b);
    })();
  }
})();
server.listen(+process.env.PORT, "127.0.0.1");
