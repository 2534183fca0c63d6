// The utterances: records made of the columns of the data, filters, order, pages, and the details of one of them.

const PAGE_SIZE = 50;
const MOST_CHOICES = 300;                       // of a column of the manifest that becomes a filter

// {number, id, reference, ..., errors, length, rate} for each utterance; the alignment is made when it is needed
function makeRecords({columns, unit}) {
  const count = (text, letter) => text.split(letter).length - 1;
  return columns.id.map((id, number) => {
    const operations = columns.operations[number], duration = columns.duration[number];
    const substitutions = count(operations, "S"), deletions = count(operations, "D"), insertions = count(operations, "I");
    const errors = substitutions + deletions + insertions, length = operations.length - insertions;
    const rate = length ? errors / length : errors ? Infinity : 0;
    return {
      number, id, duration, substitutions, deletions, insertions, errors, length, rate,
      reference: columns.reference[number], hypothesis: columns.hypothesis[number], operations,
      otherRate: columns.other_rate[number], loss: columns.loss[number], entropy: columns.entropy[number],
      speakingRate: duration ? length / duration : null,
      change: columns.change ? columns.change[number] : null,
      get alignment() { return aligned(this.reference, this.hypothesis, this.operations, unit); },
    };
  });
}

// What the table shows and can be sorted by; the first direction is that in which the worst come first.
function tableColumns(evaluation) {
  const inWords = evaluation.unit === "word", units = inWords ? "Words" : "Characters";
  const columns = [
    {key: "id", head: "Utterance", first: "ascending", value: (record) => record.id, text: null},
    {key: "rate", head: inWords ? "WER" : "CER", first: "descending", text: (record) => record.rate === Infinity
      ? "∞" : percent(record.rate, 0)},
    {key: "otherRate", head: inWords ? "CER" : "WER", first: "descending", text: (record) => percent(record.otherRate, 0)},
    {key: "errors", head: "Errors", first: "descending", text: (record) => String(record.errors)},
    {key: "length", head: units, first: "descending", text: (record) => String(record.length)},
    {key: "duration", head: "Duration", first: "descending", text: (record) => seconds(record.duration)},
    {key: "loss", head: "Loss", first: "descending", text: (record) => decimal(record.loss, 2)},
    {key: "entropy", head: "Entropy", first: "descending", text: (record) => decimal(record.entropy, 2)},
  ];
  if (evaluation.comparison) {
    columns.splice(3, 0, {key: "change", head: "Change", first: "descending", text: (record) => record.change === null
      ? "–" : signed(record.change)});
  }
  for (const label of evaluation.labels) {
    columns.push({key: `label ${label.name}`, head: label.name, first: "ascending", hidden: true,
                  value: (record) => label.values[label.numbers[record.number]]});
  }
  for (const column of columns) column.value ??= (record) => record[column.key];
  return columns.filter((column) => !["loss", "entropy", "duration", "otherRate"].includes(column.key) ||
                                    evaluation.columns[column.key === "otherRate" ? "other_rate" : column.key].some((x) => x !== null));
}

const collator = new Intl.Collator(undefined, {numeric: true});

// Numbers and texts; missing ones are last in both directions, and equal ones stay in the order of the data.
function comparison(column, direction) {
  const sign = direction === "ascending" ? 1 : -1;
  return (first, second) => {
    const a = column.value(first), b = column.value(second);
    if (a === b) return first.number - second.number;
    if (a === null || a === undefined) return 1;
    if (b === null || b === undefined) return -1;
    return (typeof a === "string" ? collator.compare(a, b) : a < b ? -1 : 1) * sign || first.number - second.number;
  };
}

class Utterances {
  constructor(evaluation) {
    this.evaluation = evaluation;
    this.records = makeRecords(evaluation);
    this.columns = tableColumns(evaluation);
    this.conditions = new Map();                // name -> {text or null for one without a chip, test, remove}
    this.sortBy("rate", "descending", false);
    this.page = 0;
    this.open = null;
    this.makeHeads();
    this.makeFilters();
    byId("utterance_table").addEventListener("keydown", (event) => this.keyDown(event));
    for (const [id, step] of [["previous_page", -1], ["next_page", 1]]) {
      byId(id).addEventListener("click", () => {
        this.page += step;
        this.show();
        byId("filters").scrollIntoView({block: "start"});
      });
    }
    byId("legend").append(
      make("span", {}, make("del", {}, "deleted")), make("span", {}, make("ins", {}, "inserted")),
      make("span", {}, make("span", {className: "pair"}, make("del", {}, "reference"), make("span", {className: "sign"}, "≠"),
                            make("ins", {}, "hypothesis")), " substituted"),
      make("span", {}, "♪ audio is embedded"));
    this.update();
  }

  makeHeads() {
    for (const column of this.columns.filter((column) => !column.hidden)) {
      const button = make("button", {type: "button", onclick: () => this.sortBy(column.key)}, column.head);
      column.cell = make("th", {scope: "col", className: column.key === "id" ? "" : "number"}, button);
      byId("heads").append(column.cell);
    }
    byId("sort_key").append(...this.columns.map((column) => make("option", {value: column.key}, column.head)));
    byId("sort_key").addEventListener("change", () => this.sortBy(byId("sort_key").value));
    byId("sort_direction").addEventListener("click", () => this.sortBy(this.sort.column.key));
  }

  makeFilters() {
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    byId("search").addEventListener("input", () => {
      const text = byId("search").value.trim().toLocaleLowerCase();
      this.setCondition("search", text && {text: null, test: (record) => [record.reference, record.hypothesis, record.id].some(
        (where) => where.toLocaleLowerCase().includes(text))});
    });
    byId("only_errors").addEventListener("change", () => this.setCondition(
      "errors", byId("only_errors").checked && {text: null, test: (record) => record.errors > 0}));
    byId("only_embedded").addEventListener("change", () => this.setCondition(
      "embedded", byId("only_embedded").checked && {text: null, test: (record) => this.evaluation.embedded.includes(record.number)}));
    byId("only_embedded").parentElement.hidden = !this.evaluation.embedded.length;
    for (const label of this.evaluation.labels.filter((label) => label.values.length <= MOST_CHOICES)) {
      const order = label.values.map((value, i) => [value, i]).sort((a, b) => collator.compare(a[0], b[0]));
      const select = make("select", {"aria-label": label.name}, make("option", {value: ""}, `any ${label.name}`),
                          ...order.map(([value, i]) => make("option", {value: i}, value || "(empty)")));
      select.addEventListener("change", () => this.setCondition(label.name, select.value !== "" && {
        text: null, test: (record) => label.numbers[record.number] === Number(select.value)}));
      byId("column_filters").append(select);
    }
    if (this.evaluation.comparison) {
      const choices = {better: (change) => change < 0, worse: (change) => change > 0, changed: (change) => change !== 0,
                       same: (change) => change === 0};
      const select = make("select", {id: "change", "aria-label": "Change"}, make("option", {value: ""}, "any change"),
                          ...Object.keys(choices).map((name) => make("option", {value: name}, name)));
      select.addEventListener("change", () => this.setCondition("change", select.value && {
        text: null, test: (record) => record.change !== null && choices[select.value](record.change)}));
      byId("column_filters").append(select);
    }
  }

  // condition: {text of the chip or null, test(record), remove() or nothing}, or something falsy for none
  setCondition(name, condition) {
    if (condition) this.conditions.set(name, condition);
    else this.conditions.delete(name);
    this.page = 0;
    this.update();
  }

  // The same column again turns the order around.
  sortBy(key, direction = null, update = true) {
    const column = this.columns.find((column) => column.key === key);
    const other = {ascending: "descending", descending: "ascending"};
    this.sort = {column, direction: direction ?? (this.sort?.column === column ? other[this.sort.direction] : column.first)};
    if (!update) return;
    this.page = 0;
    this.update();
  }

  update() {
    const conditions = [...this.conditions.values()], {column, direction} = this.sort;
    this.shown = this.records.filter((record) => conditions.every((condition) => condition.test(record)));
    this.shown.sort(comparison(column, direction));
    for (const other of this.columns) {
      if (!other.cell) continue;
      const button = other.cell.firstChild;
      if (other === column) other.cell.setAttribute("aria-sort", direction);
      else other.cell.removeAttribute("aria-sort");
      button.textContent = other.head + (other === column ? (direction === "ascending" ? " ▴" : " ▾") : "");
    }
    byId("sort_key").value = column.key;
    byId("sort_direction").textContent = direction === "ascending" ? "▴ ascending" : "▾ descending";
    byId("chips").replaceChildren(...[...this.conditions].filter(([, condition]) => condition.text).map(([name, condition]) => make(
      "button", {type: "button", title: "Remove this filter", onclick: () => {
        condition.remove?.();
        this.setCondition(name, null);
      }}, `${condition.text} ✕`)));
    const errors = this.shown.reduce((sum, record) => sum + record.errors, 0);
    const length = this.shown.reduce((sum, record) => sum + record.length, 0);
    byId("count").textContent = `${plural(this.shown.length, "utterance")}` + (this.shown.length < this.records.length
      ? ` of ${grouped(this.records.length)}` : "") + `, ${plural(length, this.evaluation.unit)}, ${plural(errors, "error")}` +
      (length ? ` (${percent(errors / length, 2)})` : "");
    this.show();
  }

  show() {
    const pages = Math.max(1, Math.ceil(this.shown.length / PAGE_SIZE));
    this.page = Math.max(0, Math.min(this.page, pages - 1));
    const part = this.shown.slice(this.page * PAGE_SIZE, (this.page + 1) * PAGE_SIZE);
    this.close();
    const element = byId("utterance_table");
    for (const body of [...element.tBodies]) body.remove();
    element.append(...part.map((record) => this.row(record)));
    byId("pages").hidden = pages === 1;
    byId("page_number").textContent = `Page ${this.page + 1} of ${pages}`;
    byId("previous_page").disabled = this.page === 0;
    byId("next_page").disabled = this.page === pages - 1;
  }

  labelsOf(record) {
    return this.evaluation.labels.map((label) => [label.name, label.values[label.numbers[record.number]]]).filter(([, value]) => value);
  }

  row(record) {
    const visible = this.columns.filter((column) => !column.hidden);
    const body = make("tbody", {id: `utterance-${record.number}`});
    const embeddedMark = this.evaluation.embedded.includes(record.number)
      ? make("span", {className: "embedded", title: "audio is embedded"}, "♪") : null;
    const button = make("button", {type: "button", className: "name", "aria-expanded": "false", onclick: () => this.toggle(record, body)},
                        record.id, embeddedMark);
    body.append(
      make("tr", {className: "figures"}, ...visible.map((column) => column.key === "id"
        ? make("th", {scope: "row"}, button, make("span", {className: "labels"}, this.labelsOf(record).map(
          ([, value]) => value).join(" · ")))
        : make("td", {className: `number ${column.key}`, "data-label": column.head}, column.text(record)))),
      make("tr", {className: "texts"}, make("td", {colSpan: visible.length}, inlineDiff(record.alignment, this.evaluation.unit))));
    return body;
  }

  toggle(record, body) {
    const isOpen = this.open?.record === record;
    this.close();
    if (isOpen) return;
    const details = make("tr", {className: "details"}, make("td", {colSpan: this.columns.filter((column) => !column.hidden).length},
                                                            this.details(record)));
    body.append(details);
    body.classList.add("open");
    body.querySelector(".name").setAttribute("aria-expanded", "true");
    this.open = {record, body, details};
  }

  close() {
    if (!this.open) return;
    this.open.details.querySelector("audio")?.pause();
    this.open.details.remove();
    this.open.body.classList.remove("open");
    this.open.body.querySelector(".name").setAttribute("aria-expanded", "false");
    this.open = null;
  }

  details(record) {
    const {unit} = this.evaluation, recording = embedded(record.number);
    const fact = (name, text) => make("span", {}, `${name} `, make("b", {}, text));
    const facts = make("p", {className: "facts_line"},
      fact("Substitutions", record.substitutions), fact("Deletions", record.deletions), fact("Insertions", record.insertions),
      record.speakingRate === null ? null : fact("Speaking rate", `${record.speakingRate.toFixed(1)} ${unit}s per second`),
      ...this.labelsOf(record).map(([name, value]) => fact(name, value)),
      fact("File", audioPath(record.number)));
    const [audio, player] = audioPlayer(record.number, recording, record.id);
    const shown = [facts, player];
    if (recording?.features || recording?.posteriors) shown.push(picture(recording, audio, record.id));
    else shown.push(make("p", {className: "note"}, "The picture of this utterance is not embedded in the page."));
    const lines = make("div", {}, make("p", {className: "line_names"}, "Reference above, hypothesis below"),
                       record.alignment.length ? alignmentColumns(record.alignment, unit)
                         : make("p", {className: "none"}, "no words in reference and hypothesis"));
    shown.push(lines);
    const other = this.evaluation.comparison && record.change !== null ? this.evaluation.columns.other_hypothesis[record.number] : null;
    if (other !== null) {
      const columns = aligned(record.reference, other, this.evaluation.columns.other_operations[record.number], unit);
      shown.push(make("div", {className: "other"}, make("p", {className: "line_names"},
        `Hypothesis of ${this.evaluation.comparison.name}: ${plural(record.errors - record.change, "error")}`), inlineDiff(columns, unit)));
    }
    return make("div", {className: "detail"}, ...shown);
  }

  // Arrow keys move between the names of the utterances.
  keyDown(event) {
    if (!event.target.classList.contains("name") || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    const names = [...byId("utterance_table").querySelectorAll(".name")];
    const next = names[names.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1)];
    event.preventDefault();
    next?.focus();
  }

  // Shows a condition of another part of the page and moves to the list.
  filterFromPage(name, condition) {
    this.setCondition(name, condition);
    if (condition) byId("utterances").scrollIntoView({block: "start"});
  }
}
