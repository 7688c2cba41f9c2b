// What the theme makes at run time and leaves without a name, for keyboards and readers of the screen.
addEventListener("load", () => {
  document.querySelectorAll(".md-typeset__scrollwrap, .highlight pre code").forEach((box, number) => {
    if (box.scrollWidth <= box.clientWidth) return
    box.tabIndex = 0
    box.setAttribute("role", "region")
    box.setAttribute("aria-label", `Scrolls sideways, ${number + 1}`)
  })
  document.querySelectorAll(".md-code__nav").forEach((nav, number) => nav.setAttribute("aria-label", `Code ${number + 1}`))
  document.querySelectorAll(".md-path").forEach(nav => nav.setAttribute("aria-label", "Path"))
})
