/** Server optimizers as Reddi et al. 2021, algorithm 2, writes them: one scalar coordinate, no arrays. The slow twin. */

/** delta_t is the mean delta of round t; returns x_1 ... x_T. */
export function fedAdaptive(
  kind: "adagrad" | "yogi" | "adam",
  x0: number,
  deltas: readonly number[],
  eta: number,
  beta1: number,
  beta2: number,
  tau: number,
): number[] {
  let x = x0;
  let m = 0;
  let v = tau ** 2;
  return deltas.map((delta) => {
    m = beta1 * m + (1 - beta1) * delta;
    if (kind === "adagrad") v = v + delta ** 2;
    if (kind === "yogi") v = v - (1 - beta2) * delta ** 2 * Math.sign(v - delta ** 2);
    if (kind === "adam") v = beta2 * v + (1 - beta2) * delta ** 2;
    x = x + (eta * m) / (Math.sqrt(v) + tau);
    return x;
  });
}

/** FedAvg with momentum (FedAvgM, Hsu et al. 2019): m_t = beta m_(t-1) + delta_t. */
export function fedAvgMomentum(x0: number, deltas: readonly number[], eta: number, beta: number): number[] {
  let x = x0;
  let m = 0;
  return deltas.map((delta) => {
    m = beta * m + delta;
    x = x + eta * m;
    return x;
  });
}
