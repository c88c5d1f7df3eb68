// Comforts; every page works without them. Loaded in <head>, so that the chosen theme is there before the first paint.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");

  // Theme: what the system says, unless somebody chose the other one here.
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const remember = (theme) => {
    try {
      theme ? localStorage.setItem("theme", theme) : localStorage.removeItem("theme");
    } catch {} // storage is switched off: the choice lasts as long as the page
  };
  const system = () => (prefersDark.matches ? "dark" : "light");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch {}
  const switchTheme = () => {
    const next = (root.dataset.theme || system()) === "dark" ? "light" : "dark";
    if (next === system()) delete root.dataset.theme;
    else root.dataset.theme = next;
    remember(root.dataset.theme);
  };

  const announce = (text) => {
    const region = document.getElementById("announce");
    if (region) region.textContent = text;
  };

  // The clipboard's own interface exists on https and localhost only.
  const copy = async (element) => {
    const text = element.value ?? element.textContent.trim();
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const helper = document.createElement("textarea");
    helper.value = text;
    helper.className = "visually-hidden";
    document.body.append(helper);
    helper.select();
    const done = document.execCommand("copy");
    helper.remove();
    if (!done) throw new Error("refused");
  };
  const copied = (button) => {
    button.dataset.done = "";
    announce("Copied.");
    setTimeout(() => delete button.dataset.done, 1600);
  };

  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!except || !menu.contains(except)) menu.open = false;
    }
  };

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : root;
    closeMenus(target);
    const button = target.closest("[data-copy]");
    const source = button && document.getElementById(button.dataset.copy);
    if (source) copy(source).then(() => copied(button), () => announce("Could not copy."));
    if (target.closest("[data-switch-theme]")) switchTheme();
    target.closest("[data-dismiss]")?.closest(".message")?.remove();
    // Before a field is set: while the dialog is open, nothing behind it takes the focus.
    const close = target.closest("dialog [data-close]");
    if (close) {
      event.preventDefault();
      close.closest("dialog").close();
    }
    const setter = target.closest("[data-set]");
    const field = setter && document.getElementById(setter.dataset.set);
    if (field) {
      event.preventDefault(); // without scripts the button sends the form, which comes back with the value
      // Of many choices a list has some.
      if (field.options && ![...field.options].some((option) => option.value === setter.value))
        field.add(new Option(setter.textContent.trim(), setter.value));
      field.value = setter.value;
      for (const type of ["input", "change"]) field.dispatchEvent(new Event(type, { bubbles: true }));
      field.focus();
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = document.activeElement?.closest("details.menu[open]");
    closeMenus();
    menu?.querySelector("summary").focus();
  });

  // A form that came back with errors: to the first one, as the browser itself would do.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.xhr?.status === 422) event.target.querySelector('[aria-invalid="true"]')?.focus();
  });

  // A field that htmx preserves keeps its old attributes as well; what is said below it may be new.
  document.addEventListener("htmx:afterSettle", () => {
    for (const field of document.querySelectorAll("[hx-preserve]")) {
      const ids = [`${field.id}_error`, `${field.id}_helptext`].filter((id) => document.getElementById(id));
      field.setAttribute("aria-describedby", ids.join(" "));
      if (document.getElementById(`${field.id}_error`)) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  });

  // A log that is read at its end stays there while it grows; whoever has scrolled up stays where they are.
  const atItsEnd = new WeakSet();
  const toEnd = (log) => log.scrollTo({ top: log.scrollHeight });
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-follow]").forEach(toEnd));
  document.addEventListener("htmx:oobBeforeSwap", ({ detail: { target: log } }) => {
    if (!log.matches?.("[data-follow]")) return;
    const below = log.scrollHeight - log.scrollTop - log.clientHeight;
    below < 8 ? atItsEnd.add(log) : atItsEnd.delete(log);
  });
  document.addEventListener("htmx:oobAfterSwap", ({ detail: { target: log } }) => {
    if (atItsEnd.has(log)) toEnd(log);
  });

  // No answer, or one that is no page: what was typed stays where it is, and what is looked at is asked for again.
  const LOOK_AGAIN = 2000;
  const complain = (text) => {
    const place = document.getElementById("messages");
    if (!place) return;
    const message = document.createElement("div");
    message.className = "message";
    message.dataset.level = "error";
    message.dataset.away = "";
    const words = document.createElement("div");
    words.textContent = text;
    message.append(words);
    place.querySelector("[data-away]")?.remove();
    place.append(message);
  };
  const words = (xhr) => {
    if (!xhr?.status) return "dokreg cannot be reached at this moment.";
    if (xhr.getResponseHeader("content-type")?.startsWith("text/plain")) return xhr.responseText;
    return [502, 503, 504].includes(xhr.status) ? "dokreg does not answer at this moment." : "Something broke in dokreg; its log says what.";
  };
  const unanswered = ({ detail: { xhr, elt, requestConfig } }) => {
    if (xhr?.status && xhr.status < 500) return;
    const isLook = requestConfig?.verb === "get";
    complain(isLook ? words(xhr) : `${words(xhr)} What you entered is still here; press the button again.`);
    setTimeout(() => elt.isConnected && htmx.trigger(elt, "again"), LOOK_AGAIN);
  };
  document.addEventListener("htmx:responseError", unanswered);
  document.addEventListener("htmx:sendError", unanswered);
  document.addEventListener("htmx:timeout", unanswered);
  document.addEventListener("htmx:beforeSwap", ({ detail: { xhr } }) => {
    if (xhr.status < 400 || xhr.status === 422) document.querySelector("#messages [data-away]")?.remove();
  });

  // A click begins and ends on the same button: what is being pressed is replaced a moment later, or the click were lost.
  const UNTIL_LET_GO = 500;
  let pressed = null;
  const press = ({ target }) => (pressed = target);
  const letGo = () => setTimeout(() => (pressed = null)); // the click comes after this
  document.addEventListener("pointerdown", press);
  for (const type of ["pointerup", "pointercancel", "keyup"]) document.addEventListener(type, letGo);
  document.addEventListener("keydown", (event) => event.key === " " && press(event));
  document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
    htmx.config.defaultSwapDelay = pressed && target.contains(pressed) ? UNTIL_LET_GO : 0;
  });

  // Options that come into a list say which of them is chosen; the browser keeps to what it was while they came.
  document.addEventListener("htmx:afterSwap", ({ detail: { target: list } }) => {
    const chosen = list.matches?.("select") && list.querySelector("option[selected]");
    if (!chosen) return;
    list.value = chosen.value;
    list.dispatchEvent(new Event("change", { bubbles: true }));
  });

  // A page of ticks that is turned loses what was not saved.
  const isTicked = (box) => box.checked !== box.defaultChecked;
  document.addEventListener("htmx:confirm", (event) => {
    const { elt, target } = event.detail;
    if (!elt.matches(".pages a") || ![...target.querySelectorAll('[type="checkbox"]')].some(isTicked)) return;
    if (!confirm("What you ticked here is not saved. Turn the page all the same?")) event.preventDefault();
  });

  // What htmx puts into a <dialog> is shown; an empty answer closes it.
  document.addEventListener("htmx:afterSwap", (event) => {
    const dialog = event.target.closest?.("dialog");
    if (!dialog) return;
    if (!dialog.childElementCount) dialog.close();
    else if (!dialog.open) dialog.showModal();
  });
})();
