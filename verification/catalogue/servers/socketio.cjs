// The events of the entry socketio, for a client whose token is "example".
const { Server } = require("socket.io");
const http = require("http").createServer();
const io = new Server(http);
io.use((socket, next) => (socket.handshake.auth.token === "example" ? next() : next(new Error("unauthorized"))));
io.on("connection", (socket) => {
  socket.on("add", (a, b, reply) => reply({ sum: a + b }));
  socket.on("fail", (reply) => reply({ error: "no such thing" }));
  socket.on("say", (text, reply) => { io.emit("said", text); if (reply) reply("ok"); });
  socket.on("count", (n) => {
    for (let i = 1; i <= n; i++) socket.emit("tick", i);
    socket.emit("done", { ticks: n });
  });
});
http.listen(+process.env.PORT, "127.0.0.1");
