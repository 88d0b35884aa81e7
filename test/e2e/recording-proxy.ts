/** A line between clients and coordinator that keeps every byte that passes. */
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

interface Recording {
  readonly upstream: Buffer;
  readonly downstream: Buffer;
}

export interface RecordingProxy {
  readonly port: number;
  /** One entry per connection, with all bytes so far. */
  recordings(): Recording[];
  close(): Promise<void>;
}

export async function recordingProxy(target: number): Promise<RecordingProxy> {
  const lines: { up: Buffer[]; down: Buffer[] }[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const line = { up: [] as Buffer[], down: [] as Buffer[] };
    lines.push(line);
    const coordinator = connect(target, "127.0.0.1");
    client.on("data", (bytes: Buffer) => line.up.push(bytes));
    coordinator.on("data", (bytes: Buffer) => line.down.push(bytes));
    client.pipe(coordinator).pipe(client);
    for (const end of [client, coordinator]) {
      sockets.add(end);
      end.on("close", () => sockets.delete(end));
      end.on("error", () => {
        client.destroy();
        coordinator.destroy();
      });
    }
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    recordings: () => lines.map(({ up, down }) => ({ upstream: Buffer.concat(up), downstream: Buffer.concat(down) })),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

/** The bodies of all uploads in what went upstream: `PATCH /v1/uploads/SID/HASH`. */
export function uploadsIn(upstream: Buffer): { hash: string; body: Buffer }[] {
  const found: { hash: string; body: Buffer }[] = [];
  for (let at = 0; (at = upstream.indexOf("PATCH /v1/uploads/", at)) >= 0;) {
    const end = upstream.indexOf("\r\n\r\n", at) + 4;
    const head = upstream.subarray(at, end).toString("latin1");
    const [, hash = ""] = /\/uploads\/[0-9a-f]{64}\/([0-9a-f]{64}) /.exec(head) ?? [];
    const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1]);
    found.push({ hash, body: upstream.subarray(end, end + length) });
    at = end + length;
  }
  return found;
}
