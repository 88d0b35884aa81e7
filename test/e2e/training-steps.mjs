/** Steps of Allulook4 nano in the main thread, with a handler for a signal that comes often; prints how often it came. */
import { lossAndGradient, uncertaintyCount } from "../../dist/client/training/step.js";
import { openDataset } from "../../dist/client/data/open-dataset.js";
import { loadEngine } from "../../dist/models/engine/node/load.js";
import { plainView } from "../../dist/models/preprocess/augment.js";
import { renderBatch } from "../../dist/models/preprocess/batch.js";
import { prepareSample } from "../../dist/models/preprocess/prepare.js";
import { buildModel } from "../../dist/models/registry.js";
import { federationConfig } from "../../dist/shared/config/federation.js";
import { generatedData } from "../../dist/simulations/generated-data.js";
import { ROOM_LABELS } from "../../dist/simulations/scenarios/labels.js";

const [folder, steps] = process.argv.slice(2);
let signals = 0;
process.on("SIGUSR2", () => {
  signals++;
});
await loadEngine({ threads: 1 });
const config = federationConfig.parse({ federation: "signals", labels: ROOM_LABELS });
const dataset = await openDataset(await generatedData(folder, 1, 8, 128, 1), { labels: config.labels });
const samples = await Promise.all(
  Array.from({ length: 8 }, async (_, i) => prepareSample(await dataset.load(i), config)),
);
const built = buildModel(config, 1);
const values = new Float32Array(built.layout.length + uncertaintyCount(config));
values.set(built.getParams());
const views = samples.map((sample) => plainView(sample, { depth: true }));
const batch = renderBatch(samples, views, config, built.strides);
process.stdout.write("ready\n");
for (let i = 0; i < Number(steps); i++) {
  lossAndGradient(built, config, values, batch);
  await new Promise((resolve) => setImmediate(resolve));
}
process.stdout.write(`${signals}\n`);
process.exit(0);
