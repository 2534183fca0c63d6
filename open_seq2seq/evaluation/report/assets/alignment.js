// The alignment of a hypothesis with its reference, as data and as elements.

// Texts have single spaces between their words. A unit is a word or a character (one of Unicode's code points).
function unitsOf(text, unit) {
  if (unit === "character") return Array.from(text);
  return text === "" ? [] : text.split(" ");
}

// [[operation, reference or null, hypothesis or null], ...]; operations: C correct, S substitution, D deletion, I insertion
function aligned(reference, hypothesis, operations, unit) {
  const references = unitsOf(reference, unit), hypotheses = unitsOf(hypothesis, unit);
  let r = 0, h = 0;
  return Array.from(operations, (operation) => [
    operation, operation === "I" ? null : references[r++], operation === "D" ? null : hypotheses[h++]]);
}

// Neighbors with the same operation as one, so that a text of characters is not a sequence of single letters.
function joinedRuns(columns, unit) {
  const runs = [], space = unit === "word" ? " " : "";
  const join = (first, second) => first === null ? null : first + space + second;
  for (const [operation, reference, hypothesis] of columns) {
    const last = runs[runs.length - 1];
    // words that were substituted stay pairs
    if (last && last[0] === operation && (operation !== "S" || unit === "character")) {
      last[1] = join(last[1], reference);
      last[2] = join(last[2], hypothesis);
    } else runs.push([operation, reference, hypothesis]);
  }
  return runs;
}

// The text in one line: -deleted, +inserted, reference ≠ hypothesis.
function inlineDiff(columns, unit) {
  if (!columns.length) return make("span", {className: "diff none"}, "no words in reference and hypothesis");
  const space = unit === "word" ? " " : "", shown = make("span", {className: "diff", dir: "auto"});
  for (const [operation, reference, hypothesis] of joinedRuns(columns, unit)) {
    if (shown.childNodes.length && space) shown.append(space);
    if (operation === "C") shown.append(reference);
    else if (operation === "D") shown.append(make("del", {title: "deleted"}, make("bdi", {}, reference)));
    else if (operation === "I") shown.append(make("ins", {title: "inserted"}, make("bdi", {}, hypothesis)));
    else {
      shown.append(make("span", {className: "pair", title: "substituted"}, make("del", {}, make("bdi", {}, reference)),
                        make("span", {className: "sign"}, "≠"), make("ins", {}, make("bdi", {}, hypothesis))));
    }
  }
  return shown;
}

// Characters of two words that differ are bold.
function markedWords(reference, hypothesis) {
  const first = Array.from(reference), second = Array.from(hypothesis);
  let start = 0, end = 0;
  while (start < Math.min(first.length, second.length) && first[start] === second[start]) start++;
  while (end < Math.min(first.length, second.length) - start &&
         first[first.length - 1 - end] === second[second.length - 1 - end]) end++;
  return [first, second].map((word) => [
    word.slice(0, start).join(""), make("b", {}, word.slice(start, word.length - end).join("")),
    word.slice(word.length - end).join("")]);
}

const LETTERS = {C: "", S: "S", D: "D", I: "I"};
const NAMES = {S: "substitution", D: "deletion", I: "insertion"};

// Columns of reference above hypothesis, with the letter of the operation below.
function alignmentColumns(columns, unit) {
  const shown = make("div", {className: "alignment", dir: directionOf(columns), role: "list"});
  for (const [operation, reference, hypothesis] of columns) {
    let above = [reference ?? "∗"], below = [hypothesis ?? "∗"];
    if (operation === "S" && unit === "word") [above, below] = markedWords(reference, hypothesis);
    const visible = (parts) => parts.map((part) => part === " " ? "␣" : part);
    shown.append(make("span", {className: operation === "C" ? "" : "wrong", title: NAMES[operation], role: "listitem"},
                      make("bdi", {className: reference === null ? "ref gap" : "ref"}, ...visible(above)),
                      make("bdi", {className: hypothesis === null ? "hyp gap" : "hyp"}, ...visible(below)),
                      make("small", {}, LETTERS[operation])));
  }
  return shown;
}

// "rtl" if the first letter with a direction is of a script written from right to left
function directionOf(columns) {
  for (const column of columns) {
    const letter = ((column[1] ?? "") + (column[2] ?? "")).match(/\p{L}/u)?.[0];
    if (letter) return /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u.test(letter)
      ? "rtl" : "ltr";
  }
  return "ltr";
}
