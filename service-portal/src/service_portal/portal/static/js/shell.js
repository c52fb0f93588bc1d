/* What every page shares: keys, folding rail, copy buttons, dialogs, links of a chain under the pointer. */
const rail = document.getElementById("rail");
const menu = document.getElementById("menu-button");
const say = document.getElementById("say");

export const formToken = document.querySelector('meta[name="form-token"]')?.content ?? "";

/** Tell something to everybody: a short toast, and the live region for screen readers. */
export function tell(text) {
  say.textContent = text;
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.setAttribute("aria-hidden", "true");
  toast.textContent = text;
  document.body.append(toast);
  setTimeout(() => toast.remove(), 1800);
}

/** The resolved colour of a token such as "--accent", as the chart library wants it. */
export function colour(token) {
  const probe = document.createElement("i");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/** Run again whenever light and dark change. */
export function onThemeChange(run) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", run);
}

function fold(open) {
  rail?.classList.toggle("open", open);
  menu?.setAttribute("aria-expanded", String(open));
}

menu?.addEventListener("click", (event) => {
  event.preventDefault();
  fold(!rail.classList.contains("open"));
});

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    const text = copy.dataset.copy || copy.parentElement.querySelector("pre, code").textContent;
    await navigator.clipboard.writeText(text.trim()).then(() => tell(say.dataset.copied), () => {});
  }
  const opener = event.target.closest("[data-open]");
  if (opener) document.getElementById(opener.dataset.open)?.showModal();
  event.target.closest("[data-close]")?.closest("dialog").close();
  const submit = event.target.closest("[data-ask]");
  if (submit && !confirm(submit.dataset.ask)) event.preventDefault();
});

/* A select with data-go sends its form at once: filters are links. */
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-go]")) event.target.form.requestSubmit();
});

/* Filters left empty do not belong in the address. */
document.addEventListener("submit", (event) => {
  if (event.target.method !== "get") return;
  for (const field of event.target.elements) {
    if (field.name && field.value === "" && !field.disabled) {
      field.disabled = true;
      setTimeout(() => { field.disabled = false; });
    }
  }
});

const isTyping = (element) => element.closest("input, textarea, select, [contenteditable]");
let waiting = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    fold(false);
    document.querySelectorAll("details.api[open]").forEach((item) => { item.open = false; });
    if (isTyping(event.target)) event.target.blur();
    return;
  }
  if (isTyping(event.target)) return;
  if (event.key === "/") {
    const field = document.querySelector("[data-search]") ?? document.getElementById("rail-search");
    if (!field) return;
    event.preventDefault();
    if (!field.offsetParent) fold(true);
    field.focus();
  } else if (event.key === "?") {
    document.getElementById("keys-help")?.showModal();
  } else if (waiting) {
    waiting = false;
    document.querySelector(`.rail a[data-key="${CSS.escape(event.key)}"]`)?.click();
  } else if (event.key === "g") {
    waiting = true;
    setTimeout(() => { waiting = false; }, 1200);
  }
});

/* A box that scrolls and holds nothing to focus takes the focus itself, so that keys can scroll it. */
function reachable() {
  for (const box of document.querySelectorAll(".scroll, .helper, pre")) {
    const scrolls = box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1;
    if (scrolls && !box.querySelector("a[href], button, input, select, summary")) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
reachable();
addEventListener("resize", reachable);
document.addEventListener("toggle", reachable, true);
document.addEventListener("htmx:after:swap", reachable);

/* Chain picture: links of the node under the pointer or the focus stand out. */
for (const picture of document.querySelectorAll("svg.chain")) {
  const show = (event) => {
    const node = event.target.closest?.("a[data-node]");
    picture.classList.toggle("has-focus", Boolean(node));
    for (const link of picture.querySelectorAll(".link")) {
      link.classList.toggle("on", Boolean(node) && [link.dataset.from, link.dataset.to].includes(node.dataset.node));
    }
  };
  picture.addEventListener("pointerover", show);
  picture.addEventListener("pointerleave", show);
  picture.addEventListener("focusin", show);
  picture.addEventListener("focusout", show);
}
