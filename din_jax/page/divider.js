// Before and after: the picture before lies over the painted one, cut at the divider.

export function setUpDivider(slider, view, before, line) {
  const show = () => {
    const percent = Number(slider.value);
    before.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    const left = before.offsetLeft + (before.offsetWidth * percent) / 100;
    line.style.left = `${left - 1}px`;
    line.hidden = percent === 0 || percent === 100;
    slider.setAttribute("aria-valuetext", percent === 0 ? "all painted" : percent === 100 ? "all before" : `${percent} percent before`);
  };
  slider.addEventListener("input", show);
  new ResizeObserver(show).observe(view);
  show();
  return show;
}
