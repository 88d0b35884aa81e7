/** Bytes over the coordinator's connections with clients and joining sites; the operator's own commands are left out. */
import type { Server } from "node:http";
import type { Socket } from "node:net";

export class Traffic {
  readonly #open = new Set<Socket>();
  #upload = 0;
  #download = 0;

  /** @param secure TLS ends at this server */
  constructor(server: Server, secure: boolean) {
    server.on(secure ? "secureConnection" : "connection", (socket: Socket) => {
      this.#open.add(socket);
      socket.once("close", () => {
        if (!this.#open.delete(socket)) return;
        this.#upload += socket.bytesRead;
        this.#download += socket.bytesWritten;
      });
    });
  }

  /** This connection is not a client's. */
  leaveOut(socket: Socket): void {
    this.#open.delete(socket);
  }

  /** Since the start. */
  total(): { upload: number; download: number } {
    let upload = this.#upload;
    let download = this.#download;
    for (const { bytesRead, bytesWritten } of this.#open) {
      upload += bytesRead;
      download += bytesWritten;
    }
    return { upload, download };
  }
}
