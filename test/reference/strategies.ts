/** Federated algorithms on quadratics, each as its paper lists it: all clients in every round, equal weights. */
import { gradientAt, lossAt, type Quadratic } from "../fakes/quadratic-trainer.ts";

type Vector = readonly number[];

export interface Problem {
  readonly clients: readonly { readonly f: Quadratic; readonly steps: number }[];
  readonly rate: number;
  readonly rounds: number;
}

const add = (a: Vector, b: Vector, factor = 1): number[] => a.map((x, k) => x + factor * (b[k] as number));
const mean = (xs: readonly Vector[]): number[] =>
  (xs[0] as Vector).map((_, k) => xs.reduce((sum, x) => sum + (x[k] as number), 0) / xs.length);
const zeros = ({ clients }: Problem): number[] => (clients[0]?.f.minimum ?? []).map(() => 0);

function descend(x: Vector, steps: number, rate: number, gradient: (y: Vector) => Vector): number[] {
  let y = [...x];
  for (let i = 0; i < steps; i++) y = add(y, gradient(y), -rate);
  return y;
}

/** Wang et al. 2020: x <- x - tau_eff sum p_i eta d_i, d_i = (x - y_i) / (eta tau_i), tau_eff = sum p_i tau_i. */
export function fednova(problem: Problem): number[] {
  let x = zeros(problem);
  for (let t = 0; t < problem.rounds; t++) {
    const directions = problem.clients.map(({ f, steps }) => {
      const y = descend(x, steps, problem.rate, (at) => gradientAt(f, at));
      return add(x, y, -1).map((v) => v / (problem.rate * steps));
    });
    const effective = mean(problem.clients.map(({ steps }) => [steps]))[0] as number;
    x = add(x, mean(directions), -effective * problem.rate);
  }
  return x;
}

/** Li et al. 2020, algorithm 2. */
export function qfedavg(problem: Problem, q: number): number[] {
  const lipschitz = 1 / problem.rate;
  let x = zeros(problem);
  for (let t = 0; t < problem.rounds; t++) {
    const parts = problem.clients.map(({ f, steps }) => {
      const y = descend(x, steps, problem.rate, (at) => gradientAt(f, at));
      const dw = add(x, y, -1).map((v) => lipschitz * v);
      const loss = lossAt(f, x);
      const square = dw.reduce((sum, v) => sum + v * v, 0);
      return { delta: dw.map((v) => loss ** q * v), h: q * loss ** (q - 1) * square + lipschitz * loss ** q };
    });
    const h = parts.reduce((sum, part) => sum + part.h, 0);
    for (const { delta } of parts) x = add(x, delta, -1 / h);
  }
  return x;
}

/** Karimireddy et al. 2020, algorithm 1, option II, eta_g = 1. */
export function scaffold(problem: Problem): number[] {
  let x = zeros(problem);
  let c = zeros(problem);
  const own = problem.clients.map(() => zeros(problem));
  for (let t = 0; t < problem.rounds; t++) {
    const sent = problem.clients.map(({ f, steps }, i) => {
      const ci = own[i] as number[];
      const y = descend(x, steps, problem.rate, (at) => add(add(gradientAt(f, at), ci, -1), c));
      const next = add(add(ci, c, -1), add(x, y, -1), 1 / (steps * problem.rate));
      own[i] = next;
      return { dy: add(y, x, -1), dc: add(next, ci, -1) };
    });
    x = add(x, mean(sent.map(({ dy }) => dy)));
    c = add(c, mean(sent.map(({ dc }) => dc)));
  }
  return x;
}

/** Acar et al. 2021, algorithm 1, its inner problem by gradient descent. */
export function feddyn(problem: Problem, alpha: number): number[] {
  let theta = zeros(problem);
  let h = zeros(problem);
  const gradients = problem.clients.map(() => zeros(problem));
  for (let t = 0; t < problem.rounds; t++) {
    const before = theta;
    const models = problem.clients.map(({ f, steps }, i) => {
      const own = gradients[i] as number[];
      const y = descend(before, steps, problem.rate, (at) =>
        add(add(gradientAt(f, at), own, -1), add(at, before, -1), alpha),
      );
      gradients[i] = add(own, add(y, before, -1), -alpha);
      return y;
    });
    h = add(h, mean(models.map((y) => add(y, before, -1))), -alpha);
    theta = add(mean(models), h, -1 / alpha);
  }
  return theta;
}
