// What is wrong with the page as it stands, as sentences. Evaluated in the page by test_pages.py.
() => {
  const LEAST_CONTRAST = 4.5;
  const defects = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const words = (element) => (element.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 40);

  const frame = document.scrollingElement;
  if (frame.scrollWidth > innerWidth) defects.push(`${frame.scrollWidth} px wide in a window of ${innerWidth}`);
  for (const box of all(".table, .card")) {
    const over = Math.round(box.getBoundingClientRect().right - box.parentElement.getBoundingClientRect().right);
    if (shown(box) && over > 0) defects.push(`${box.tagName.toLowerCase()} “${words(box)}” is ${over} px wider than its place`);
  }
  if (all("h1").length !== 1) defects.push(`${all("h1").length} headings of the first level`);
  if (!/\S.* · dokreg$/.test(document.title)) defects.push(`its title is “${document.title}”`);
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) defects.push(`two elements are #${id}`);

  // Names: what a screen reader says
  const isNamed = (element) =>
    element.labels?.length || element.ariaLabel || element.getAttribute("aria-labelledby") ||
    words(element) || element.querySelector("[aria-label]");
  for (const element of all("a, button, summary, input:not([type=hidden]), select, textarea")) {
    const isField = element.matches("input, select, textarea");
    const named = isField ? element.labels?.length || element.ariaLabel : isNamed(element);
    if (!named) defects.push(`without a name: ${element.outerHTML.slice(0, 90)}`);
  }
  for (const icon of all("svg, img")) {
    const isHidden = icon.getAttribute("aria-hidden") === "true" || icon.getAttribute("alt") === "";
    if (!isHidden && !icon.ariaLabel) defects.push(`an icon that says nothing: ${icon.outerHTML.slice(0, 90)}`);
  }
  for (const element of all("[aria-labelledby], [aria-describedby]")) {
    const named = `${element.getAttribute("aria-labelledby") ?? ""} ${element.getAttribute("aria-describedby") ?? ""}`;
    for (const id of named.split(/\s+/).filter(Boolean)) {
      if (!document.getElementById(id)) defects.push(`refers to #${id}, which is not there`);
    }
  }
  for (const cell of all("td[data-label]")) {
    const isLabelled = shown(cell) && getComputedStyle(cell, "::before").content !== "none";
    if (isLabelled && !words(cell) && !cell.childElementCount) defects.push(`nothing beside “${cell.dataset.label}”`);
  }

  // Contrast: a canvas understands every notation of colours, and mixes translucent ones
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const paint = (colours) => {
    pixel.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      pixel.fillStyle = colour;
      pixel.fillRect(0, 0, 1, 1);
    }
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (channels) => {
    const [red, green, blue] = channels.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const backgrounds = (element) => {
    const below = element.parentElement ? backgrounds(element.parentElement) : ["Canvas"];
    return [...below, getComputedStyle(element).backgroundColor];
  };
  const contrast = (element) => {
    const behind = backgrounds(element);
    const [one, other] = [paint(behind), paint([...behind, getComputedStyle(element).color])].map(luminance);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  const seen = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim()) continue;
    if (seen.has(element) || !shown(element)) continue;
    if (element.closest(".visually-hidden, .skip, :disabled, option, noscript")) continue;
    seen.add(element);
    const value = contrast(element);
    if (value < LEAST_CONTRAST) defects.push(`contrast ${value.toFixed(2)} of “${words(element)}”`);
  }
  if (!seen.size) defects.push("no text at all");
  return defects;
};
