// Draws the view of a box when it is opened or when one of its buttons is pressed; plotly.js is on the page.
document.querySelectorAll("details.parallel").forEach((box) => {
  const views = JSON.parse(box.querySelector("script").textContent);
  const target = box.querySelector("div.plot");
  const buttons = box.querySelectorAll("button");
  const show = (view) => {
    buttons.forEach((button) => button.setAttribute("aria-pressed", button.dataset.view === view));
    Plotly.react(target, views[view].data, views[view].layout, { displayModeBar: false, responsive: true });
  };
  buttons.forEach((button) => button.addEventListener("click", () => show(button.dataset.view)));
  box.addEventListener("toggle", () => {
    if (box.open) show(buttons[0].dataset.view);
  });
});
