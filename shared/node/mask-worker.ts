/** The thread behind `mask-pool.ts`. */
import { parentPort } from "node:worker_threads";
import { NodeCrypto } from "./crypto.ts";
import { serveMasks } from "./mask-service.ts";

if (parentPort) serveMasks(parentPort, new NodeCrypto());
