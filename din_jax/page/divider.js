// Before and after: the picture before lies over the painted one, cut at the divider.

/** slider: a range input of percents; view: around both pictures, where the divider is dragged, too
 *  -> show(), to be called when the pictures have another size. */
export function setUpDivider(slider, view, before, line) {
  const show = () => {
    const percent = Number(slider.value);
    before.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    const left = before.offsetLeft + (before.offsetWidth * percent) / 100;
    line.style.left = `${left - 1}px`;
    line.hidden = percent === 0 || percent === 100;
    slider.setAttribute("aria-valuetext", percent === 0 ? "all painted" : percent === 100 ? "all before" : `${percent} percent before`);
  };
  const drag = (event) => {
    const box = before.getBoundingClientRect();
    slider.value = Math.round((100 * (event.clientX - box.left)) / box.width);
    show();
  };
  view.addEventListener("pointerdown", (event) => {
    if (event.defaultPrevented || event.button) return; // the brush's, or no wish to drag
    view.setPointerCapture(event.pointerId);
    if (event.pointerType !== "touch") drag(event); // a touch may be the start of scrolling
    view.addEventListener("pointermove", drag);
    view.addEventListener("lostpointercapture", () => view.removeEventListener("pointermove", drag), { once: true });
  });
  slider.addEventListener("input", show);
  new ResizeObserver(show).observe(view);
  show();
  return show;
}
