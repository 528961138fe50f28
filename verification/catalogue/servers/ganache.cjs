// A chain with a contract that writes a log whenever it is called; every second somebody calls it.
const fs = require("fs");
const ganache = require("ganache");
const server = ganache.server({ logging: { quiet: true }, chain: { chainId: 1337 } });
server.listen(+process.env.PORT, "127.0.0.1", async () => {
  const ask = (method, params) => server.provider.request({ method, params });
  const [from] = await ask("eth_accounts", []);
  // PUSH1 0 PUSH1 0 LOG0 STOP, behind the code that deploys it
  const deploy = await ask("eth_sendTransaction", [{ from, data: "0x6560006000a0006000526006601af3", gas: "0x100000" }]);
  const { contractAddress } = await ask("eth_getTransactionReceipt", [deploy]);
  fs.writeFileSync(process.env.READY, JSON.stringify([from, deploy, contractAddress]));
  setInterval(() => ask("eth_sendTransaction", [{ from, to: contractAddress, gas: "0x20000" }]), 1000);
});
