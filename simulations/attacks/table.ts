/** docs/robustness.md: the measured tables, with what was measured and how to measure it again. */
import type { Attack } from "./attackers.ts";
import { cellsOf, type Cell, type CellResult, type Mode, type SuiteSetting } from "./suite.ts";

export interface Measured {
  readonly setting: SuiteSetting;
  readonly resultOf: (cell: Cell) => CellResult | null;
  /** The command that made it. */
  readonly command: string;
}

/** Accuracies in per cent, one row a rule, one column an attack; each field for the shares in order. */
export function accuracyTable({ setting, resultOf }: Measured, mode: Mode): string {
  const { rules, attacks, shares } = setting;
  const head = ["rule", "no attack", ...attacks.map((attack) => `\`${attack}\``)];
  const rows = rules.map((rule) => [
    `\`${rule}\``,
    percent(resultOf({ mode, rule, attack: null, share: 0 })?.accuracy),
    ...attacks.map((attack) =>
      shares.map((share) => percent(resultOf({ mode, rule, attack, share })?.accuracy)).join(" · "),
    ),
  ]);
  return markdown(head, rows);
}

/** How often the patch gives the attackers' class. */
export function backdoorTable({ setting, resultOf }: Measured, mode: Mode): string {
  const { rules, shares } = setting;
  const cell = (rule: Cell["rule"], attack: Attack | null, share: number) =>
    percent(resultOf({ mode, rule, attack, share })?.backdoor);
  const head = ["rule", "no attack", ...shares.map((share) => `${percent(share)} % attack`)];
  const rows = rules.map((rule) => [
    `\`${rule}\``,
    cell(rule, null, 0),
    ...shares.map((share) => cell(rule, "backdoor", share)),
  ]);
  return markdown(head, rows);
}

export function robustnessPage(measured: Measured): string {
  const { setting, resultOf, command } = measured;
  const { clients, rounds, seed, picturesPerClient, testPictures, local, modes } = setting;
  const done = cellsOf(setting).flatMap((cell) => resultOf(cell) ?? []);
  const seconds = done.reduce((sum, one) => sum + one.seconds, 0);
  return `# Bad clients

What each rule of [strategies.md](strategies.md) keeps of a model's accuracy while some clients attack. Made by

\`\`\`sh
${command}
\`\`\`

${done.length} federations of the shipped coordinator and clients, ${Math.round(seconds / 60)} minutes; ${rounds} rounds each, seed ${seed}. A client has ${picturesPerClient} generated grey pictures of 12 x 12 of four shapes, and takes ${local.steps} SGD steps a round (batches of ${local.batchSize}, rate ${local.learningRate}) with a network of 1,828 params (two convolutions, one dense layer). Accuracy is on ${testPictures} other pictures; chance is 25 %. Rules that ask for \`attackers\` are told the true number, or the most that they can bear among so many updates. A dash: the rule needs more updates than there are.

Every client's pictures are of one kind here. Where sites differ much, honest updates lie further apart and every rule protects less. One seed: differences of a few points are noise.

| attack | what its clients do |
| --- | --- |
| \`labelFlip\` | train on wrong labels |
| \`signFlip\` | send their update the other way round, three times as long |
| \`scaling\` | model replacement: the update of wrong labels, times the number of clients |
| \`noise\` | send Gaussian noise as long as ten updates |
| \`innerProduct\` | all send the mean of their honest updates the other way round, half as long |
| \`backdoor\` | train on half of their pictures once more, with a bright patch in a corner and the label of discs; send the update doubled |

${modes.map((mode) => modeSection(measured, mode, clients[mode])).join("\n")}`;
}

function modeSection(measured: Measured, mode: Mode, clients: number): string {
  const { attacks, shares, groupSize } = measured.setting;
  const groups = Math.floor(clients / groupSize);
  const title = mode === "trusted" ? "Trusted coordinator" : "Secure aggregation, in groups";
  const how =
    mode === "trusted"
      ? `${clients} clients, \`secureAggregation: { mode: off }\`.`
      : `${clients} clients in ${groups} groups of ${groupSize}, drawn anew each round: the rule sees ${groups} means, each bad as soon as one of its clients is. \`mean\` is that of all clients, the same with and without groups.`;
  const bearing = shares.map((share) => `${percent(share)} % (${Math.round(share * clients)})`).join(" · ");
  const backdoor = attacks.includes("backdoor")
    ? `
Pictures of other shapes that are taken for discs once they bear the patch, in per cent. Lower is better; "no attack" is what the patch does to a model that never saw one.

${backdoorTable(measured, mode)}
`
    : "";
  return `## ${title}

${how} Accuracy in per cent, with ${bearing} of the clients attacking:

${accuracyTable(measured, mode)}
${backdoor}`;
}

function percent(value: number | null | undefined): string {
  return value === undefined || value === null ? "–" : String(Math.round(100 * value));
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (fields: readonly string[]) => `| ${fields.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
