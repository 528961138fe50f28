// A Bayeux server at /faye.
const faye = require("faye");
const server = require("http").createServer();
new faye.NodeAdapter({ mount: "/faye", timeout: 45 }).attach(server);
server.listen(+process.env.PORT, "127.0.0.1");
