/** Andrew, Thakkar, McMahan, Ramaswamy 2021, Algorithm 1, "DP-FedAvg-M with adaptive clipping", its lines on C alone. */

export interface Algorithm {
  /** C^0, gamma, eta_C. */
  readonly initial: number;
  readonly gamma: number;
  readonly eta: number;
  /** N(0, sigma_b^2). */
  readonly noise: () => number;
}

/** C^0, C^1, …: `rounds` holds the norms of every client's update in each round. */
export function clippingNorms(rounds: readonly (readonly number[])[], algorithm: Algorithm): number[] {
  const { initial, gamma, eta, noise } = algorithm;
  const norms = [initial];
  for (const updates of rounds) {
    const clip = norms.at(-1) as number;
    let sum = 0;
    for (const update of updates) {
      const b = update <= clip ? 1 : 0;
      sum += b - 1 / 2;
    }
    const bTilde = (sum + noise()) / updates.length + 1 / 2;
    norms.push(clip * Math.exp(-eta * (bTilde - gamma)));
  }
  return norms;
}
