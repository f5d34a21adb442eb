// Shows what the sandbox received. Everything that came with a message is put in as text, never as markup;
// a mail's HTML lives in a sandboxed frame. While the page is seen it asks every second whether there is news.

const REFRESH_MS = 1000;
const PAGE = 100;
const ANSWERS = {
  accepted: "accepted",
  accepted_late: "accepted late",
  accepted_twice: "answered twice",
  accepted_unanswered: "no answer given",
  refused: "refused",
  try_later: "try later",
  rate_limited: "rate-limited",
  too_large: "too large",
};
const KINDS = {
  refuse: ["Refuse", "Answers 550: this message will never be taken."],
  try_later: ["Try later", "Answers 451: not now. Clarion should try again."],
  rate_limit: ["Rate limit", "Answers 421: too many messages, and closes the connection."],
  stall: ["Stall", "Takes the message, and answers some seconds later."],
  accept_then_drop: ["Accept, then drop", "Takes the message, and closes the connection without an answer: the sender can't know."],
  answer_twice: ["Answer twice", "Takes the message, and gives its answer twice."],
};

const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone; // the browser's, in which all times are shown

const $ = (id) => document.getElementById(id);
const state = { shown: PAGE, messages: [], chosen: null, tab: "html", whole: null, newest: null, basis: "" };

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

async function ask(path, options) {
  const response = await fetch(path, options);
  if (response.status === 204) return null;
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail || response.statusText);
  return body;
}

const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

function when(iso) {
  const time = new Date(iso);
  const clock = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  return time.toDateString() === new Date().toDateString() ? clock : `${time.toLocaleDateString()} ${clock}`;
}

function badge(element, message) {
  element.className = "answer";
  if (!message.accepted) element.classList.add("no");
  else if (message.answer !== "accepted") element.classList.add("odd");
  element.textContent = ANSWERS[message.answer] || message.answer;
  return element;
}

// ---- the list

function query() {
  const asked = new URLSearchParams({ limit: String(state.shown) });
  for (const name of ["search", "to", "channel"]) {
    const value = $(name).value.trim();
    if (value) asked.set(name, value);
  }
  return asked;
}

const filtered = () => ["search", "to", "channel"].some((name) => $(name).value.trim());

function row(message, fresh) {
  const item = make("li", fresh ? "fresh" : "");
  item.id = `message-${message.number}`;
  item.dataset.number = String(message.number);
  item.setAttribute("role", "option");
  item.append(make("span", "who", message.to.join(", ")));
  const time = make("time", "", when(message.receive_time));
  time.dateTime = message.receive_time;
  item.append(time);
  const subject = make("span", "subject");
  subject.append(make("b", "", message.subject || "(no subject)"));
  if (message.answer !== "accepted") subject.append(badge(make("span"), message));
  item.append(subject, make("span", "preview", message.preview || "(no text)"));
  return item;
}

function showList(answer) {
  state.messages = answer.messages;
  const list = $("list");
  const old = new Map([...list.children].map((item) => [item.dataset.number, item]));
  const seen = state.newest;
  const rows = answer.messages.map(
    (message) => old.get(String(message.number)) || row(message, seen !== null && message.number > seen),
  );
  const top = list.scrollTop;
  list.replaceChildren(...rows);
  list.scrollTop = top;
  if (answer.messages.length) state.newest = Math.max(seen ?? 0, answer.messages[0].number);
  else if (state.newest === null) state.newest = 0;
  const empty = answer.messages.length === 0;
  $("empty").hidden = !empty || filtered();
  $("nothing").hidden = !empty || !filtered();
  $("more").hidden = answer.before === null;
  $("summary").textContent = empty ? "" : `${plural(answer.total, "message", "messages")}${filtered() ? " found" : ""}, newest first · times of ${ZONE}`;
  mark();
}

function mark() {
  for (const item of $("list").children) {
    item.setAttribute("aria-selected", String(Number(item.dataset.number) === state.chosen));
  }
  const chosen = state.chosen !== null && $(`message-${state.chosen}`);
  if (chosen) $("list").setAttribute("aria-activedescendant", chosen.id);
  else $("list").removeAttribute("aria-activedescendant");
}

function showCounts(counts) {
  const parts = [[counts.accepted, "accepted"], [counts.refused, "not taken"]];
  if (counts.duplicates) parts.push([counts.duplicates, counts.duplicates === 1 ? "duplicate" : "duplicates"]);
  $("counts").replaceChildren(
    ...parts.flatMap(([count, word], index) => [index ? " · " : "", make("b", "", count.toLocaleString("en")), ` ${word}`]),
  );
}

let asking = 0;
async function refresh() {
  const mine = ++asking;
  try {
    const [counts, faults] = await Promise.all([ask("/v1/counts"), ask("/v1/faults")]);
    const basis = `${query()} ${JSON.stringify(counts)}`; // the list is asked for only when it can be another one
    const list = basis === state.basis ? null : await ask(`/v1/messages?${query()}`);
    if (mine !== asking) return;
    if (list) showList(list);
    state.basis = basis;
    showCounts(counts);
    showFaults(faults);
    live(true);
  } catch {
    if (mine === asking) live(false);
  }
}

function live(on) {
  const word = on ? "live" : "not answering";
  if ($("live").textContent === word) return;
  $("live").textContent = word;
  $("live").className = on ? "live on" : "live off";
}

// ---- one message

async function open(number, { read = false } = {}) {
  state.chosen = number;
  mark();
  $(`message-${number}`)?.scrollIntoView({ block: "nearest" });
  try {
    const whole = await ask(`/v1/messages/${number}`);
    if (state.chosen === number) showMessage(whole, read);
  } catch (error) {
    if (state.chosen === number) close(error.message);
  }
}

function showMessage(message, read) {
  state.whole = message;
  $("hint").hidden = true;
  $("message").hidden = false;
  $("subject").textContent = message.subject || "(no subject)";
  $("from").textContent = message.headers.find(([name]) => name.toLowerCase() === "from")?.[1] || message.from;
  $("recipients").textContent = message.to.join(", ") + (message.customer ? ` (customer ${message.customer})` : "");
  $("received").textContent = `${new Date(message.receive_time).toLocaleString([], { timeZoneName: "short" })} · number ${message.number} · ${plural(message.size, "byte", "bytes")}`;
  badge($("answer"), message);
  $("reply").textContent = message.reply || "connection closed without an answer";
  $("raw").href = `/v1/messages/${message.number}/raw`;
  $("raw").hidden = !message.raw_kept;
  $("attachments").replaceChildren(
    ...message.attachments.map((part) => make("li", "", `📎 ${part.name || "attachment"} · ${part.type} · ${plural(part.size, "byte", "bytes")}`)),
  );
  $("tab-html").disabled = message.html === null;
  $("tab-text").disabled = message.text === null;
  showTab(state.tab);
  if (read) {
    document.body.classList.add("reading");
    $("reader").focus({ preventScroll: true });
    $("reader").scrollTop = 0;
  }
}

function showTab(wanted) {
  const message = state.whole;
  const there = { html: message.html !== null, text: message.text !== null, headers: true };
  const tab = there[wanted] ? wanted : ["html", "text", "headers"].find((name) => there[name]);
  for (const name of ["html", "text", "headers"]) {
    const button = $(`tab-${name}`);
    button.setAttribute("aria-selected", String(name === tab));
    button.tabIndex = name === tab ? 0 : -1;
  }
  $("panel").setAttribute("aria-labelledby", `tab-${tab}`);
  const view = { html: frame, text: (whole) => make("pre", "", whole.text), headers: table }[tab](message);
  $("panel").replaceChildren(view);
}

function frame(message) {
  const view = make("iframe");
  view.setAttribute("sandbox", ""); // no scripts, no forms, no origin
  view.title = "The mail's HTML";
  view.src = `/v1/messages/${message.number}/html`;
  return view;
}

function table(message) {
  if (!message.raw_kept) return make("p", "", "The bytes of this message are no longer kept.");
  const view = make("table");
  const body = make("tbody");
  for (const [name, value] of message.headers) {
    const line = make("tr");
    const head = make("th", "", name);
    head.scope = "row";
    line.append(head, make("td", "", value));
    body.append(line);
  }
  view.append(body);
  return view;
}

function close(why) {
  state.chosen = null;
  state.whole = null;
  $("message").hidden = true;
  $("hint").hidden = false;
  if (why) $("hint").firstElementChild.textContent = why;
  back();
  mark();
}

function back() {
  if (!document.body.classList.contains("reading")) return;
  document.body.classList.remove("reading");
  $("list").focus({ preventScroll: true });
}

// ---- faults

let faults = [];
function showFaults(list) {
  $("faults-badge").hidden = list.length === 0;
  $("faults-badge").textContent = String(list.length);
  $("faults-off").disabled = list.length === 0;
  if (JSON.stringify(list) === JSON.stringify(faults)) return;
  faults = list;
  $("in-force").replaceChildren(...list.map(faultRow));
}

function faultRow(fault, index) {
  const item = make("li");
  const words = make("div", "", KINDS[fault.kind]?.[0] || fault.kind);
  const facts = [`${+(fault.share * 100).toFixed(2)} % of messages`];
  if (fault.to) facts.push(`to “${fault.to}”`);
  if (fault.kind === "stall") facts.push(`${fault.seconds} s`);
  facts.push(fault.times === null ? `met ${fault.used} so far` : `${fault.used} of ${fault.times} used`);
  words.append(make("small", "", facts.join(" · ")));
  const off = make("button", "", "Switch off");
  off.type = "button";
  off.addEventListener("click", () => putFaults((now) => now.filter((_, place) => place !== index)));
  item.append(words, off);
  return item;
}

async function putFaults(change) {
  $("fault-error").textContent = "";
  try {
    const now = await ask("/v1/faults");
    showFaults(await ask("/v1/faults", { method: "PUT", body: JSON.stringify(change(now)) }));
  } catch (error) {
    $("fault-error").textContent = error.message;
  }
}

function newFault() {
  const fault = { kind: $("kind").value, channel: "email", share: Number($("share").value) / 100 };
  if ($("fault-to").value.trim()) fault.to = $("fault-to").value.trim();
  if ($("times").value) fault.times = Number($("times").value);
  if (fault.kind === "stall") fault.seconds = Number($("seconds").value);
  return fault;
}

function showKind() {
  $("kind-note").textContent = KINDS[$("kind").value][1];
  $("seconds-field").hidden = $("kind").value !== "stall";
  $("seconds").disabled = $("kind").value !== "stall";
}

// ---- hands on it

function step(by) {
  if (!state.messages.length) return;
  const at = state.messages.findIndex((message) => message.number === state.chosen);
  const next = at < 0 ? 0 : Math.min(state.messages.length - 1, Math.max(0, at + by));
  open(state.messages[next].number);
}

function onListKey(event) {
  const steps = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in steps) step(steps[event.key]);
  else if (event.key === "Enter" && state.chosen !== null) open(state.chosen, { read: true });
  else return;
  event.preventDefault();
}

function onTabKey(event) {
  const names = ["html", "text", "headers"].filter((name) => !$(`tab-${name}`).disabled);
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  const at = names.findIndex((name) => $(`tab-${name}`).getAttribute("aria-selected") === "true");
  state.tab = names[(at + by + names.length) % names.length];
  showTab(state.tab);
  $(`tab-${state.tab}`).focus();
  event.preventDefault();
}

function onKey(event) {
  const typing = event.target.closest("input, select, dialog");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    back();
    $("search").focus();
    event.preventDefault();
  } else if (event.key === "Escape" && !event.target.closest("dialog")) {
    if (document.body.classList.contains("reading")) back();
    else $("list").focus();
  }
}

let typed;
function onFilter() {
  clearTimeout(typed);
  typed = setTimeout(() => {
    state.shown = PAGE;
    refresh();
  }, 120);
}

$("list").addEventListener("keydown", onListKey);
$("list").addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (item) open(Number(item.dataset.number), { read: true });
});
$("filters").addEventListener("input", onFilter);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("reset").addEventListener("click", () => {
  $("filters").reset();
  onFilter();
  $("search").focus();
});
$("more").addEventListener("click", () => {
  state.shown += PAGE;
  refresh();
});
$("back").addEventListener("click", back);
for (const name of ["html", "text", "headers"]) {
  $(`tab-${name}`).addEventListener("click", () => {
    state.tab = name;
    showTab(name);
  });
  $(`tab-${name}`).addEventListener("keydown", onTabKey);
}
$("clear").addEventListener("click", async () => {
  if (!confirm("Forget all messages? The faults stay.")) return;
  await ask("/v1/messages", { method: "DELETE" }).catch(() => live(false));
  close();
  state.basis = "";
  refresh();
});
for (const [kind, [word]] of Object.entries(KINDS)) $("kind").append(new Option(word, kind));
$("kind").addEventListener("change", showKind);
$("faults-open").addEventListener("click", () => $("faults").showModal());
$("faults-off").addEventListener("click", () => putFaults(() => []));
$("add-fault").addEventListener("submit", (event) => {
  event.preventDefault();
  putFaults((now) => [...now, newFault()]);
});
document.addEventListener("keydown", onKey);
document.addEventListener("visibilitychange", () => document.hidden || refresh());

showKind();
await refresh();
const linked = /^#(\d+)$/.exec(location.hash);
if (linked) open(Number(linked[1]), { read: true });
else if (state.chosen === null && state.messages.length) open(state.messages[0].number);
setInterval(() => document.hidden || refresh(), REFRESH_MS);
