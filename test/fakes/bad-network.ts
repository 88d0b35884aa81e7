/** Networks as hospitals have them: a relay that cuts and damages, and a proxy that only lets CONNECT through. */
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** What happens to the bytes of one TCP connection in one direction; `position` counts from the connection's start. */
export type Meddle = (chunk: Buffer, position: number, cut: () => void) => Buffer;

const untouched: Meddle = (chunk) => chunk;

/** Relays TCP connections to `port`; `up` and `down` may change what passes. */
export class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  up: Meddle = untouched;
  down: Meddle = untouched;
  /** Bytes passed so far, all connections together. */
  passed = { up: 0, down: 0 };

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, "127.0.0.1");
      this.#join(near, far, "up");
      this.#join(far, near, "down");
    });
  }

  static async open(url: string): Promise<Relay> {
    const relay = new Relay(Number(new URL(url).port));
    await new Promise<void>((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    return relay;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #join(from: Socket, to: Socket, direction: "up" | "down"): void {
    this.#sockets.add(from);
    let position = 0;
    const cut = () => {
      from.destroy();
      to.destroy();
    };
    from.on("data", (chunk: Buffer) => {
      const out = this[direction](chunk, position, cut);
      position += chunk.length;
      this.passed[direction] += out.length;
      if (!to.destroyed && !to.write(out)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }

  /** Every connection ends at once. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.cutAll();
    this.#server.close();
  }
}

/** Cuts every connection that carries more than `bytes`, `times` times; then lets everything pass. */
export function cutAfter(bytes: number, times: number): Meddle {
  let left = times;
  return (chunk, position, cut) => {
    if (left > 0 && position + chunk.length > bytes) {
      left -= 1;
      cut();
    }
    return chunk;
  };
}

/** Flips one bit of the byte at `at` of every connection that gets so far, `times` times. */
export function flipAt(at: number, times: number): Meddle {
  let left = times;
  return (chunk, position) => {
    if (left === 0 || at < position || at >= position + chunk.length) return chunk;
    left -= 1;
    const damaged = Buffer.from(chunk);
    damaged[at - position] = (damaged[at - position] as number) ^ 4;
    return damaged;
  };
}

/** An HTTP proxy; `tunnels` lists what CONNECT was asked for. */
export async function openConnectProxy(): Promise<{ url: string; tunnels: string[]; close: () => void }> {
  const tunnels: string[] = [];
  const sockets = new Set<Socket>();
  const server = createHttpServer((_request, response) => response.writeHead(405).end());
  server.on("connect", (request, near: Socket, head: Buffer) => {
    tunnels.push(String(request.url));
    const [host, port] = String(request.url).split(":");
    const far = connect(Number(port), host, () => {
      near.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      if (head.length > 0) far.write(head);
      far.pipe(near).pipe(far);
    });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tunnels,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
