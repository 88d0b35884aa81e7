/** site.yaml as `allulook join` writes it: every field with its default, each explained to the people who decide it. */
import { stringify } from "yaml";

/** @param url the coordinator's address. @param data the dataset's folder, relative to the site folder. */
export function siteYaml(url: string, data: string): string {
  return `# What this site takes part with, and what it allows. Every field but "coordinator" may be left out;
# the values below are the defaults. Nothing runs before a person of this site has approved the training plan
# (allulook plan show, allulook plan approve).

# Where the coordinator is. Connections only ever go outward, from here to there. A proxy is taken from HTTPS_PROXY,
# a certificate authority of your own from NODE_EXTRA_CA_CERTS.
${stringify({ coordinator: url }).trim()}

# The dataset: a folder with annotations.json, or with plain pictures. It is read and never leaves this machine.
${stringify({ data }).trim()}

# Your names of classes -> the federation's, for example { "mass": lesion }.
labels:
  map: {}

# Where a plan lets this site's model learn from a larger one: the folder of your copy of that release; null: none.
teacher: null

policy:
  # every-change: a person approves the plan again whenever it changes; once: the first approval holds for good.
  approve: every-change
  # Fewest sites in a round, and fewest sites in one sum, yours included. Rounds with fewer are refused.
  minCohort: 4
  minSurvivors: 3
  # Fewest sites in the sum of one group, where a plan cuts the round's sites into groups: how many of them may help the
  # coordinator without harm, and 2 more (the coordinator can arrange who is in a group); 3 or more.
  minGroup: 3
  # What share of the sites may help the coordinator without harm, at least, where a plan has rounds of more than 64 sites
  # (its secureAggregation.corruptionRate): the lower, the fewer others hold shares of this site's keys.
  minCorruptionRate: 0.1
  # The least protection accepted: malicious (the coordinator may try to cheat) > semi-honest > off.
  requireSecureAggregation: malicious
  # Stop when the privacy loss (epsilon) would exceed maxEpsilon; null: no bound. It is counted at this delta, the
  # probability that the bound does not hold, or at the plan's where that is smaller; with a larger one a plan is refused.
  # maxClipNorm: the longest update that a plan may let through which protects whole sites; null: any.
  privacy:
    maxEpsilon: null
    delta: 0.00001
    maxClipNorm: null
  # Models that may be trained here.
  models: [allulook4]
  # May a model be trained on again after a round from it was given up (signed void)?
  allowVoid: true
  # May the coordinator forget rounds that it told this site of? Only where its operator has restored a backup and says so.
  allowRestored: false
  # When this site begins rounds, such as "19:00-06:00" or "Mon-Fri 19:00-06:00 Europe/Berlin"; null: always. A round that
  # has begun is finished.
  hours: null
  # Threads of one operation; nice 0 (as important as everything else) to 19 (only when nothing else wants to run).
  cpu:
    threads: 2
    nice: 10
  # Caps such as 2MB/s; null: none.
  bandwidth:
    up: null
    down: null
`;
}
