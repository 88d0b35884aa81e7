/** A CONNECT proxy on the port given; says a line for each tunnel. */
import { createServer } from "node:http";
import { connect } from "node:net";

const server = createServer((_request, response) => response.writeHead(405).end());
server.on("connect", (request, socket, head) => {
  const [host, port] = request.url.split(":");
  process.stdout.write(`tunnel to ${request.url}\n`);
  const target = connect(Number(port), host, () => {
    socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
    target.write(head);
    target.pipe(socket).pipe(target);
  });
  for (const end of [target, socket]) end.on("error", () => (target.destroy(), socket.destroy()));
});
server.listen(Number(process.argv[2]), "0.0.0.0", () => process.stdout.write("listening\n"));
