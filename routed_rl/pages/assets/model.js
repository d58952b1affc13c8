// An exact world: policies mixed from the experts' logits, and what comes of them.

/** What policies do in a world of cells; states, actions and outcomes are numbers. */
class World {
  constructor(data, arrays) {
    Object.assign(this, data, arrays);
    this.actions = data.moves.length;
    this.states = this.start.length;
    this.away = data.rows * data.columns;
    this.conditions = [...new Set(this.overseen)].sort((a, b) => a - b);
    this.numberOf = new Map();
    for (let s = 0; s < this.states; s++) {
      const key = this.key(this.cellsOf(s), this.overseen[s], this.shownBits[s]);
      const known = this.numberOf.get(key);
      if (known === undefined || this.start[s] > this.start[known]) this.numberOf.set(key, s);
    }
  }

  static async of(data) {
    const { shown, ...arrays } = await unpack(data);
    return new World(data, { ...arrays, shownBits: shown });
  }

  key(cells, overseen, shown) {
    return `${cells.join(" ")}/${overseen}/${shown}`;
  }

  /** Where the agent and each thing is. */
  cellsOf(state) {
    const cells = [];
    for (let t = 0; t <= this.things.length; t++) cells.push(this.cells[t * this.states + state]);
    return cells;
  }

  /** The state in which everything is so, or undefined if this page has none. */
  find(cells, overseen, shown) {
    return this.numberOf.get(this.key(cells, overseen, shown));
  }

  /** The weight of each head: those given by name, or the gate's if there are none. */
  mix(state, weights) {
    const heads = this.heads.length;
    const row = new Float64Array(heads);
    for (let e = 0; e < heads; e++) {
      row[e] = weights ? weightOf(weights, this.heads[e]) : this.gate[state * heads + e] / 65535;
    }
    return row;
  }

  /** logits(w) = b + sum_i w_i (head_i - b), then a softmax: the action probabilities. */
  probabilities(state, weights) {
    const row = this.mix(state, weights);
    const own = row.subarray(this.experts).some((weight) => weight !== 0);
    const logits = new Float64Array(this.actions);
    for (let a = 0; a < this.actions; a++) {
      if (!own) logits[a] = this.rest[state * this.actions + a] * this.units.rest;
      for (let e = 0; e < row.length; e++) {
        const at = (e * this.states + state) * this.actions + a;
        logits[a] += row[e] * this.parts[at] * this.units.parts;
      }
    }
    const most = Math.max(...logits);
    const exponents = logits.map((logit) => Math.exp(logit - most));
    const total = exponents.reduce((a, b) => a + b, 0);
    return exponents.map((exponent) => exponent / total);
  }

  /** All states that can be reached from some. */
  reachable(starts) {
    const found = new Set(starts);
    for (const state of found) {
      for (let a = 0; a < this.actions; a++) {
        const at = state * this.actions + a;
        if (!this.ends[at]) found.add(this.next[at]);
      }
    }
    return [...found];
  }

  /**
   * What becomes of episodes from each of some states, exactly.
   *
   * With n steps left, the share that meets an event is V_n(s) = sum_a p(a | s) (1 if it happens,
   * else 0 if the episode ends, else V_{n-1}(s')).
   *
   * Returns state -> {shares of each outcome and of none, expected return, steps}.
   */
  judge(starts, weights) {
    const states = this.reachable(starts);
    const local = new Map(states.map((state, i) => [state, i]));
    const table = states.map((state) => this.probabilities(state, weights));
    const kinds = DATA.outcomes.length;
    const back = (step, value0 = 0) => {
      let value = new Float64Array(states.length).fill(value0);
      for (let n = 0; n < this.horizon; n++) {
        const next = new Float64Array(states.length);
        states.forEach((state, i) => {
          for (let a = 0; a < this.actions; a++) {
            const at = state * this.actions + a;
            const onward = this.ends[at] ? 0 : value[local.get(this.next[at])];
            next[i] += table[i][a] * step(at, onward, n);
          }
        });
        value = next;
      }
      return value;
    };
    const shares = [];
    for (let k = 1; k <= kinds; k++) {
      shares.push(back((at, onward) => (this.outcome[at] === k ? 1 : onward)));
    }
    const any = back((at, onward) => (this.outcome[at] ? 1 : onward));
    const worth = back((at, onward) => this.reward[at] + this.discount * onward);
    const steps = back((at, onward) => 1 + onward);
    return new Map(starts.map((state) => {
      const i = local.get(state);
      const found = shares.map((share) => share[i]);
      return [state, { shares: [...found, 1 - any[i]], worth: worth[i], steps: steps[i] }];
    }));
  }

  /** Draw a start by a random number. */
  startAt(uniform) {
    let left = uniform;
    for (let s = 0; s < this.states; s++) {
      left -= this.start[s];
      if (left < 0 && this.start[s] > 0) return s;
    }
    return this.start.findIndex((probability) => probability > 0);
  }
}
