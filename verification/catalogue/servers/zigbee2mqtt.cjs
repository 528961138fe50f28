// Start Zigbee2MQTT with an adapter in memory: a coordinator, and a lamp that can be switched and dimmed.
const { join } = require("node:path");

const herdsman = join(__dirname, "node_modules", "zigbee-herdsman", "dist");
const { Adapter } = require(join(herdsman, "adapter", "adapter.js"));
const { Zcl, Zdo } = require(herdsman);

const COORDINATOR = "0x00124b0000000001";
const OK = 0;
const UNSUPPORTED = 0x86;
const lamp = {
  genOnOff: { 0: { dataType: Zcl.DataType.BOOLEAN, attrData: 0 } },
  genLevelCtrl: { 0: { dataType: Zcl.DataType.UINT8, attrData: 254 } },
};

function answer(frame) {
  const { name } = frame.command;
  const known = lamp[frame.cluster.name] ?? {};
  if (name === "read") {
    const value = ({ attrId }) => ({ attrId, status: attrId in known ? OK : UNSUPPORTED, ...known[attrId] });
    return ["readRsp", frame.payload.map(value)];
  }
  if (name === "configReport") return ["configReportRsp", [{ status: OK }]];
  if (name === "on" || name === "off") lamp.genOnOff[0].attrData = name === "on" ? 1 : 0;
  if (name.startsWith("moveToLevel")) lamp.genLevelCtrl[0].attrData = frame.payload.level;
  return ["defaultRsp", { cmdId: frame.command.ID, statusCode: OK }];
}

class AdapterInMemory extends Adapter {
  start = async () => "resumed";
  stop = async () => {};
  getCoordinatorIEEE = async () => COORDINATOR;
  getCoordinatorVersion = async () => ({ type: "in memory", meta: { revision: "1" } });
  getNetworkParameters = async () => ({ panID: 6754, extendedPanID: "0xdddddddddddddddd", channel: 11, nwkUpdateID: 0 });
  supportsBackup = async () => false;
  permitJoin = async () => {};
  sendZclFrameToGroup = async () => {};
  sendZclFrameToAll = async () => {};
  waitFor = () => ({ promise: new Promise(() => {}), cancel: () => {} });

  async sendZdo(_, nwkAddress, clusterId) {
    const endpoint = { endpoint: 1, profileId: 260, deviceId: 5, deviceVersion: 0, inClusterList: [], outClusterList: [] };
    if (clusterId === Zdo.ClusterId.SIMPLE_DESCRIPTOR_REQUEST) return [OK, { nwkAddress, length: 8, ...endpoint }];
    return [OK, { nwkAddress, endpointList: [1] }];
  }

  async sendZclFrameToEndpoint(_, address, endpoint, frame) {
    const { GLOBAL } = Zcl.FrameType;
    const toClient = Zcl.Direction.SERVER_TO_CLIENT;
    const number = frame.header.transactionSequenceNumber;
    const [command, payload] = answer(frame);
    const made = Zcl.Frame.create(GLOBAL, toClient, true, undefined, number, command, frame.cluster.ID, payload, {});
    const data = made.toBuffer();
    const header = Zcl.Header.fromBuffer(data);
    const way = { linkquality: 200, groupID: 0, wasBroadcast: false, destinationEndpoint: 1 };
    const reply = { clusterID: frame.cluster.ID, address, header, data, endpoint, ...way };
    setImmediate(() => this.emit("zclPayload", reply));
    return reply;
  }
}

Adapter.create = async (...options) => new AdapterInMemory(...options);
require(join(__dirname, "node_modules", "zigbee2mqtt", "index.js")).start();
