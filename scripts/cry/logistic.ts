/** Logistic regression with a ridge (L2) penalty, of many sparse features, by L-BFGS. */
export interface Fit {
  readonly bias: number;
  readonly weights: Float64Array;
}

/** Samples one behind the other, each its features that are not zero. */
export class Samples {
  readonly #features: number;
  #indices = new Uint16Array(1 << 22);
  #values = new Float32Array(1 << 22);
  #used = 0;
  readonly #starts: number[] = [0];
  readonly #wanted: number[] = [];
  readonly #importance: number[] = [];

  constructor(features: number) {
    this.#features = features;
  }

  add(row: ArrayLike<number>, wanted: 0 | 1, importance: number): void {
    for (let at = 0; at < this.#features; at++) {
      const value = row[at] ?? 0;
      if (value === 0) continue;
      if (this.#used === this.#indices.length) this.#grow();
      this.#indices[this.#used] = at;
      this.#values[this.#used] = value;
      this.#used += 1;
    }
    this.#starts.push(this.#used);
    this.#wanted.push(wanted);
    this.#importance.push(importance);
  }

  #grow(): void {
    const indices = new Uint16Array(this.#indices.length * 2);
    const values = new Float32Array(indices.length);
    indices.set(this.#indices);
    values.set(this.#values);
    this.#indices = indices;
    this.#values = values;
  }

  /** Cries and other sounds weigh `share` and the rest. @param ridge penalty relative to the mean loss */
  fit(ridge: number, share: number, rounds = 120): Fit {
    const size = this.#features + 1;
    const total = [0, 0];
    for (const [at, wanted] of this.#wanted.entries())
      total[wanted] = (total[wanted] ?? 0) + (this.#importance[at] ?? 0);
    const factor = [(1 - share) / (total[0] ?? 1), share / (total[1] ?? 1)];
    const indices = this.#indices;
    const values = this.#values;
    const starts = Uint32Array.from(this.#starts);
    const wanted = Uint8Array.from(this.#wanted);
    const importance = Float32Array.from(this.#importance, (one, at) => one * (factor[wanted[at] ?? 0] ?? 0));

    const loss = (weights: Float64Array, gradient: Float64Array): number => {
      gradient.fill(0);
      let sum = 0;
      const bias = weights[size - 1] ?? 0;
      for (let sample = 0; sample < wanted.length; sample++) {
        const from = starts[sample] ?? 0;
        const to = starts[sample + 1] ?? 0;
        let z = bias;
        for (let at = from; at < to; at++) z += (weights[indices[at] ?? 0] ?? 0) * (values[at] ?? 0);
        const want = wanted[sample] ?? 0;
        const weight = importance[sample] ?? 0;
        sum += weight * (Math.log1p(Math.exp(-Math.abs(z))) + Math.max(z, 0) - want * z);
        const error = (1 / (1 + Math.exp(-z)) - want) * weight;
        for (let at = from; at < to; at++) {
          const index = indices[at] ?? 0;
          gradient[index] = (gradient[index] ?? 0) + error * (values[at] ?? 0);
        }
        gradient[size - 1] = (gradient[size - 1] ?? 0) + error;
      }
      for (let f = 0; f < size - 1; f++) {
        const weight = weights[f] ?? 0;
        sum += (ridge / 2) * weight * weight;
        gradient[f] = (gradient[f] ?? 0) + ridge * weight;
      }
      return sum;
    };
    const weights = minimise(loss, size, rounds);
    return { bias: weights[size - 1] ?? 0, weights: weights.subarray(0, size - 1) };
  }
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, one, at) => sum + one * (b[at] ?? 0), 0);
const plus = (a: Float64Array, b: Float64Array, scale: number): Float64Array =>
  a.map((one, at) => one + scale * (b[at] ?? 0));

/** Nocedal's two-loop recursion with eight pairs and backtracking (Armijo). */
function minimise(
  loss: (x: Float64Array, gradient: Float64Array) => number,
  size: number,
  rounds: number,
): Float64Array {
  let x: Float64Array = new Float64Array(size);
  let gradient: Float64Array = new Float64Array(size);
  let value = loss(x, gradient);
  const pairs: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    let direction: Float64Array = gradient.map((one) => -one);
    const alphas: number[] = [];
    for (const { s, y, rho } of [...pairs].reverse()) {
      const alpha = rho * dot(s, direction);
      alphas.unshift(alpha);
      direction = plus(direction, y, -alpha);
    }
    const last = pairs.at(-1);
    if (last !== undefined) direction = direction.map((one) => one * (1 / (last.rho * dot(last.y, last.y))));
    for (const [at, { s, y, rho }] of pairs.entries()) {
      direction = plus(direction, s, (alphas[at] ?? 0) - rho * dot(y, direction));
    }
    const slope = dot(gradient, direction);
    let step = pairs.length === 0 ? Math.min(1, 1 / Math.sqrt(dot(gradient, gradient))) : 1;
    for (let tries = 0; ; tries++) {
      const next = plus(x, direction, step);
      const nextGradient = new Float64Array(size);
      const nextValue = loss(next, nextGradient);
      if (nextValue <= value + 1e-4 * step * slope || tries >= 20) {
        const s = plus(next, x, -1);
        const y = plus(nextGradient, gradient, -1);
        const curvature = dot(s, y);
        if (curvature > 1e-14) pairs.push({ s, y, rho: 1 / curvature });
        if (pairs.length > 8) pairs.shift();
        const better = value - nextValue;
        x = next;
        gradient = nextGradient;
        value = nextValue;
        if (better < 1e-7) return x;
        break;
      }
      step /= 2;
    }
  }
  return x;
}
