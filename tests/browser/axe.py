"""What axe finds on a page, in each look."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

LOOKS = {"wide and light": (1440, "light"), "phone and dark": (390, "dark")}
# Without a second look at the style sheets: it would fetch each anew, and no rule that is on reads them.
RUN = "async () => (await axe.run({resultTypes: ['violations'], preload: false})).violations"
# The violations, and the kinds of which axe itself has found a contrast good: what was hidden, or lay half beneath
# something, is looked at where it comes next.
RUN_BY_KIND = """async () => {
    const found = await axe.run({resultTypes: ['violations', 'passes'], elementRef: true, preload: false});
    const good = found.passes.filter((rule) => rule.id === 'color-contrast').flatMap((rule) => rule.nodes);
    const kinds = good.map((node) => window.newKinds.get(node.element)).filter((kind) => kind !== undefined);
    const told = ({id, nodes}) => ({id, nodes: nodes.map(({target, html}) => ({target, html}))});
    return [found.violations.map(told), [...new Set(kinds)]];
}"""
NEW = "data-new-kind"
ONLY_NEW_KINDS = f"axe.configure({{rules: [{{id: 'color-contrast', selector: '[{NEW}]'}}]}})"
# All on which the contrast of letters rests: their own colours and size, and every ground that they stand on. Of each
# kind that is not known the first, the last and the one in the middle are marked.
MARK_NEW_KINDS = """([known, mark]) => {
    const told = new Set(known), grounds = new Map(), kinds = new Map();
    const ground = (element) => {
        if (!element) return '';
        if (!grounds.has(element)) {
            const s = getComputedStyle(element);
            const own = [s.backgroundColor, s.backgroundImage, s.opacity, s.mixBlendMode, s.position].join();
            const isClear = own === 'rgba(0, 0, 0, 0),none,1,normal,static';
            grounds.set(element, ground(element.parentElement) + (isClear ? '' : ` ${own}`));
        }
        return grounds.get(element);
    };
    const speaks = (element) => element.matches('input, select, textarea')
        || [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    for (const element of document.body.querySelectorAll('*')) {
        if (!speaks(element) || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
        const box = element.getBoundingClientRect(), s = getComputedStyle(element);
        if (box.width < 2 || box.height < 2) continue;
        const isDisabled = element.closest(':disabled, [aria-disabled=true]') !== null;
        const letters = [element.localName, isDisabled, s.color, s.fontSize, s.fontWeight, s.textShadow].join();
        const kind = letters + ground(element);
        if (!told.has(kind)) kinds.set(kind, [...(kinds.get(kind) ?? []), element]);
    }
    document.querySelectorAll(`[${mark}]`).forEach((element) => element.removeAttribute(mark));
    window.newKinds = new Map();
    for (const [kind, alike] of kinds)
        for (const element of [alike[0], alike[alike.length >> 1], alike.at(-1)]) {
            element.setAttribute(mark, '');
            window.newKinds.set(element, kind);
        }
}"""


class Axe:
    """Looks at one page after the other.

    The contrast of letters is most of its work, and those in the same colours on the same grounds have the same: it is
    asked of each kind once in each look, over all pages. `whole`, it is asked of all, as axe comes.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._known: dict[str, set[str]] = {look: set() for look in LOOKS}

    def objections(self, page: Page, name: str) -> list[str]:
        """What is wrong with the page as it stands, or wider than the screen, in each look; the last one stays."""
        found = []
        page.evaluate(AXE_SCRIPT if self._whole else f"{AXE_SCRIPT};{ONLY_NEW_KINDS}")
        for look, (width, theme) in LOOKS.items():
            page.set_viewport_size({"width": width, "height": 900})
            # Without motion: halfway between two looks no colour is what it will be.
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type] # Playwright's literals
            found += [
                f"{name}, {look}: {violation['id']} at {node['target']}: {node['html'][:160]}"
                for violation in self._violations(page, look)
                for node in violation["nodes"]
            ]
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if overflow > 0:
                found.append(f"{name}, {look}: {overflow} px wider than the screen")
        return found

    def _violations(self, page: Page, look: str) -> list[dict[str, list[dict[str, str]]]]:
        if self._whole:
            return list(page.evaluate(RUN))
        page.evaluate(MARK_NEW_KINDS, [list(self._known[look]), NEW])
        violations, good = page.evaluate(RUN_BY_KIND)
        self._known[look].update(good)
        return list(violations)
