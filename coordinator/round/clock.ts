/** Time as an argument: the machine's in deployment, a test's own elsewhere. */

export interface Clock {
  /** Milliseconds since 1970; may have fractions. */
  now(): number;
  /** Calls back once after `ms`; the answer calls it off. */
  after(ms: number, call: () => void): () => void;
}

/** The machine's clock; timers do not keep a process alive. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};
