// What the page was given, and a few words for building it.

const DATA = JSON.parse(document.getElementById("data").textContent);

const TYPES = {
  int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint8: Uint8Array,
  float32: Float32Array,
};

/** Unpack the arrays of `pages/blob.py`: name -> typed array. */
async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.bytes), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const arrays = {};
  for (const [name, { type, shape, at }] of Object.entries(packed.arrays)) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = new TYPES[type](buffer, at, count);
  }
  return arrays;
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") for (const [event, f] of Object.entries(value)) node.addEventListener(event, f);
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

/** Make an element. Text goes in as text: no name can become markup. */
const el = (tag, attributes, ...children) =>
  build(document.createElement(tag), attributes, children);

/** Make an element of a drawing. */
const svg = (tag, attributes, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const percent = (share) => `${(100 * Math.max(share, 0)).toFixed(1)}%`;
const decimal = (value) => value.toFixed(3).replace("-", "\u2212");
const whole = (value) => Math.round(value).toLocaleString("en");

/** A weight by its name; a name such as "constructor" is no more than a name. */
const weightOf = (weights, name) => (Object.hasOwn(weights, name) ? weights[name] : 0);

/** The class that colours what belongs to an outcome: the wanted one's, another's, or none's. */
function tone(name) {
  if (name === DATA.target) return "good";
  const others = (DATA.outcomes || []).filter((outcome) => outcome !== DATA.target);
  const k = others.indexOf(name);
  return k < 0 ? "none" : `bad${k % 4}`;
}

/** A numbered generator of random numbers in [0, 1) (mulberry32). */
function randomFrom(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
