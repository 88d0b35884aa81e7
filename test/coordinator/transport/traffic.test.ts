import { expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { Traffic } from "../../../coordinator/transport/traffic.ts";

test("counts both directions of open and closed connections, and leaves out what is not a client's", async () => {
  let leaveOut = false;
  const server = createServer((request, response) => {
    if (leaveOut) traffic.leaveOut(request.socket);
    request.resume().on("end", () => response.end("y".repeat(500)));
  });
  const traffic = new Traffic(server, false);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const ask = async (close: boolean) => {
    const socket = connect(port, "127.0.0.1");
    const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nConnection: ${close ? "close" : "keep-alive"}\r\n\r\n`;
    socket.write(head + "x".repeat(1000));
    let got = 0;
    socket.on("data", (chunk: Buffer) => (got += chunk.length));
    await once(socket, "data");
    if (close) await once(socket, "close");
    return { socket, sent: head.length + 1000, got: () => got };
  };
  try {
    const closed = await ask(true);
    const open = await ask(false);
    expect(traffic.total()).toEqual({ upload: closed.sent + open.sent, download: closed.got() + open.got() });
    leaveOut = true;
    const before = traffic.total();
    const operator = await ask(true);
    expect(traffic.total()).toEqual(before);
    operator.socket.destroy();
    open.socket.destroy();
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
