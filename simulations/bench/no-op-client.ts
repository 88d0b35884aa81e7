/** A client process that does not train: `node no-op-client.js SITE-FOLDER PARAMS`. */
import { createClient } from "../../client/main.ts";
import { noOpTrainer } from "../population/no-op-trainer.ts";

const [folder, params] = process.argv.slice(2);
if (folder === undefined || params === undefined) throw new Error("usage: no-op-client SITE-FOLDER PARAMS");
const silent = { info: () => {}, warn: () => {}, error: () => {} };
const trainers = { create: () => Promise.resolve(noOpTrainer(Number(params))), close: () => Promise.resolve() };
const client = await createClient(folder, silent, undefined, trainers);
await client.finished.finally(() => client.stop());
