// Making elements, and numbers as text.

const byId = (id) => document.getElementById(id);

// make("td", {className: "number", onclick: f, "data-x": 1}, "text", element, ...); null children are skipped
function make(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.includes("-") || key === "role" || key === "for") element.setAttribute(key, value);
    else element[key] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// the same for SVG, where everything is an attribute
function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const grouped = (number) => number.toLocaleString("en-US");

// a rate as text; null: there are no words to divide by
const percent = (rate, digits = 1) => rate === null ? "–" : `${(100 * rate).toFixed(digits)} %`;

const seconds = (value) => value === null ? "–" : `${value.toFixed(value < 100 ? 2 : 0)} s`;

const signed = (number) => number > 0 ? `+${number}` : number < 0 ? `−${-number}` : "0";

const decimal = (number, digits) => number === null ? "–" : number.toFixed(digits);

const plural = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;

function table(heads, rows) {
  const cell = (name, content, number) => make(name, {className: number ? "number" : ""}, content);
  return make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head, i) => {
      const element = cell("th", head, i > 0);
      element.scope = "col";
      return element;
    }))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((content, i) => cell("td", content, i > 0))))));
}
