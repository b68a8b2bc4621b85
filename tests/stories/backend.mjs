// The merchant's backend of backend.py once more: `node backend.mjs FOLDER PORT`.
import { createServer } from "node:http";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { passCopy } = await import(pathToFileURL(resolve(process.argv[2], "forwarder.mjs")));

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts);
  const { trade } = JSON.parse(body);
  const isApproval = trade.type === "withdraw" && trade.status === "initiated";
  passCopy(body, request.headers["x-assetpay-signature"], isApproval);
  response.end(isApproval ? '{"action":"approve"}' : "");
});
server.listen(Number(process.argv[3]), "127.0.0.1", () => console.log(server.address().port));
