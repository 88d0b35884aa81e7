/** federation.yaml as `allulook init` writes it: what an operator usually decides, each line explained. */
import { stringify } from "yaml";

export interface FederationYamlOptions {
  readonly name: string;
  readonly authority: "embedded" | "offline";
  readonly host: string;
  readonly port: number;
}

/** Fields left out have the defaults of shared/config/federation.ts. */
export function federationYaml({ name, authority, host, port }: FederationYamlOptions): string {
  return `# One federation: its coordinator, its model, its rules. Unknown fields are errors; fields left out have defaults.

# With the authority's key, the name makes the federation's id: it cannot be changed after the first invitation.
${stringify({ federation: name }).trim()}
seed: 7

# Plain text is for loopback only. Beyond it give tls: { cert: FILE, key: FILE }, or behindProxy: true where a proxy in
# front ends TLS.
listen:
  ${stringify({ host }).trim()}
  port: ${port}
  tls: null

# embedded: the key that signs memberships lies here and joining is instant; the coordinator could then invent members.
# offline: it lies on another machine (allulook authority init), and no coordinator can.
authority: ${authority}

model:
  name: allulook4
  preset: nano # nano | tiny | small | base
  # What it begins with: weights that ship with allulook (nano, tiny), trained on generated pictures; or init: random, or
  # the folder of a release to go on from, such as init: ./base/releases/5.

# The label space of all sites; each site maps its own names onto it.
labels:
  detection: [object]
  segmentation: [background, object]
  scene: []
  depth: { kind: metric } # metric | relative | inverse | none

input:
  size: [128, 128]
  modalities: [rgb, depth, text]

training:
  localSteps: 20 # or localEpochs
  batchSize: 8
  optimizer: { name: adam, learningRate: 0.002, decay: 0.9 } # decay: share of the rate gone at the end of a round

strategy: { name: fedavg } # fedavg | fedprox | fedadam | fedyogi | fedadagrad | fednova | qfedavg | scaffold | feddyn

# How the sites' updates become one. mean, or a rule that bad sites cannot move far: krum | multiKrum | bulyan | median |
# trimmedMean | geometricMedian | normClipping | centredClipping. They compare single updates with mode: off, else the means
# of groups: secureAggregation: { groups: { size: 4, minSurvivors: 3 } }.
aggregation: { rule: mean }

schedule:
  rounds: 20
  every: continuous # continuous | manual (allulook resume --now) | an interval (6h) | a window ("Mon-Fri 19:00-06:00 Europe/Berlin")
  cohort: { fraction: 1.0, min: 4, max: 64, overSelect: 1.3 }
  minSurvivors: 3

# malicious: safe also against a coordinator that cheats; semi-honest: for demonstrations; off: a trusted coordinator.
# Beyond 64 clients of a round, how many of them may vanish or be in league with the coordinator decides with how many
# others each shares its keys (docs/protocol.md).
secureAggregation: { mode: malicious, dropoutRate: 0.1, corruptionRate: 0.1 }

# Rounds, the newest ones, whose masked inputs are kept in evidence/, so that anyone who has the folder can make their
# sum and their step again (allulook transcript verify). It takes a masked vector of every client on disk.
transcripts: { keepInputs: 0 }

# Differential privacy (docs/privacy.md; \`allulook privacy plan\` says what is possible): none, or noise for
# { unit: example, epsilon: 8, delta: 1e-5, minExamples: 100 } | { unit: client, epsilon: 8, delta: 1e-5 }, the latter with
# clipNorm: 1, or clipNorm: { adaptive: { quantile: 0.5 } } to follow the sites' updates.
privacy: { unit: none }

release: { every: 1, dtype: int8, maxDrop: 0.01, keyframeEvery: 10 }

# What each site holds out to score versions with. contiguous: its last files, where their order is time; stratified: a
# share of every scene class, for stills sorted by class; auto: whichever of the two the site's data asks for.
evaluation: { every: 1, holdout: 0.2, split: auto }
`;
}
