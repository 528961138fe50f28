"""Texts that would run a script, load something or hide something if a page took them for more than text."""

from __future__ import annotations

from typing import Final

MARK: Final = "window.pwned=(window.pwned||0)+1"
ELSEWHERE: Final = "http://evil.example/beacon"

TEXTS: Final = (
    f"<script>{MARK}</script>",
    f"</script><script>{MARK}</script>",
    f"<img src=x onerror={MARK}>",
    f'"><img src=x onerror="{MARK}">',
    f"'><svg/onload={MARK}>",
    f"</textarea></label></pre></template><svg onload={MARK}>",
    f"<details open ontoggle={MARK}>x</details>",
    f"<input autofocus onfocus={MARK}>",
    f'<iframe srcdoc="<script>parent.{MARK.replace("window.", "")}</script>"></iframe>',
    f"<math><mtext><table><mglyph><style><img src=x onerror={MARK}>",
    f'<a href="javascript:{MARK}">x</a>',
    f"[x](javascript:{MARK}) ![x]({ELSEWHERE})",
    f"javascript:{MARK}",
    f"data:text/html,<script>{MARK}</script>",
    f"<img src={ELSEWHERE}><link rel=stylesheet href={ELSEWHERE}><style>@import '{ELSEWHERE}';</style>",
    f"<meta http-equiv=refresh content='0;url={ELSEWHERE}'>",
    f"<form action={ELSEWHERE}><button autofocus>x</button></form>",
    f"{{{{constructor.constructor('{MARK}')()}}}}",
    f"{{{{ $el.ownerDocument.defaultView.{MARK.replace('window.', '')} }}}}",
    f"${{{MARK}}}",
    f"<component :is=\"'script'\">{MARK}</component>",
    f"<div v-html=\"'<img src=x onerror={MARK}>'\"></div>",
    f'" onmouseover="{MARK}" x="',
    f"x onclick={MARK} innerHTML=<img/src/onerror={MARK}>",
    f"```html\n<img src=x onerror={MARK}>\n```",
    f"&lt;img src=x onerror={MARK}&gt; &#60;script&#62;{MARK}&#60;/script&#62;",
    "\x1b[31mred\x1b]0;title\x07\x1b[2J",
    "safe\u202egnp.exe\u2066x\u2069",
    "nul\x00byte\u2028line\ufeff",
    "__proto__",
    "constructor",
)
"""The corpus; each text stands for a way out of a place where text is expected."""
