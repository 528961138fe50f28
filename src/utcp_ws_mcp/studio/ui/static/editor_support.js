// Adds completion, documentation on hover and at the cursor, and marks of findings to the editor of the manifest.
// The answers come from the studio, which reads them from the JSON schema; all of them are shown as text.
// Findings do not go through the properties of NiceGUI's editor: an update of one sends the text of the server as well,
// which would replace what was typed since.
import * as CM from "nicegui-codemirror";

const DELAY = 200; // milliseconds without a movement of the cursor

async function ask(what, view, position) {
  const response = await fetch(`${window.path_prefix}/studio/${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: view.state.doc.toString(), offset: position }),
  });
  return response.ok ? await response.json() : null;
}

async function complete(context) {
  if (!context.explicit && !context.matchBefore(/["\w$]/)) return null;
  const answer = await ask("complete", context, context.pos);
  if (answer === null || answer.options.length === 0 || context.aborted) return null;
  const options = answer.options.map((option) => ({
    label: option.label,
    detail: option.detail,
    info: option.description,
    apply(view, _, from) {
      view.dispatch({
        changes: { from: answer.start, to: Math.max(answer.end, context.pos), insert: option.text },
        selection: { anchor: answer.start + option.caret },
        userEvent: "input.complete",
      });
    },
  }));
  return { from: answer.word, options, filter: true };
}

const hover = CM.hoverTooltip(async (view, position) => {
  const answer = await ask("describe", view, position);
  if (!answer?.description) return null;
  const create = () => {
    const dom = document.createElement("div");
    dom.className = "studio-hover";
    dom.textContent = answer.description;
    return { dom };
  };
  return { pos: answer.start, end: answer.end, above: true, create };
});

const showFindings = CM.StateEffect.define();
const findings = CM.StateField.define({
  create: () => CM.Decoration.none,
  update(marks, transaction) {
    for (const effect of transaction.effects) if (effect.is(showFindings)) return effect.value;
    return marks.map(transaction.changes);
  },
  provide: (field) => CM.EditorView.decorations.from(field),
});

const findingTooltip = CM.hoverTooltip((view, position) => {
  const line = view.state.doc.lineAt(position);
  const texts = [];
  view.state.field(findings).between(line.from, line.to, (from, to, mark) => {
    if (from <= position && position <= to) texts.push(mark.spec.text);
  });
  if (!texts.length) return null;
  const create = () => {
    const dom = document.createElement("div");
    dom.className = "studio-hover";
    dom.textContent = texts.join("\n");
    return { dom };
  };
  return { pos: position, above: true, create };
});

export default {
  template: "<div></div>",
  props: { editor: Number, label: String, readonly: Boolean },
  emits: ["cursor"],
  async mounted() {
    const element = await this.findEditor();
    const view = element.editor || (await element.editorPromise);
    this.view = view;
    const cursor = CM.EditorView.updateListener.of((update) => {
      if (!update.selectionSet && !update.docChanged) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.$emit("cursor", this.state()), DELAY);
    });
    const extensions = [CM.EditorView.contentAttributes.of({ "aria-label": this.label, tabindex: "0" })];
    if (this.readonly) extensions.push(CM.EditorState.readOnly.of(true));
    else extensions.push(CM.EditorState.languageData.of(() => [{ autocomplete: complete }]), hover, cursor, findings, findingTooltip);
    view.dispatch({ effects: CM.StateEffect.appendConfig.of(extensions) });
    this.showTheme = () => element.setTheme(document.body.classList.contains("body--dark") ? "githubDark" : "githubLight");
    this.showTheme();
    this.observer = new MutationObserver(this.showTheme); // the system changes between light and dark
    this.observer.observe(document.body, { attributeFilter: ["class"] });
  },
  beforeUnmount() {
    clearTimeout(this.timer);
    this.observer?.disconnect();
  },
  methods: {
    state() {
      return { offset: this.view.state.selection.main.head, length: this.view.state.doc.length };
    },
    text() {
      return this.view.state.doc.toString();
    },
    // `length` is that of the text that was checked: marks for another text would be in wrong places.
    show(length, found) {
      if (this.view?.state.doc.length !== length) return;
      const marks = found.map(({ from, to, kind, text }) => CM.Decoration.mark({ class: kind, text }).range(from, to));
      this.view.dispatch({ effects: showFindings.of(CM.Decoration.set(marks, true)) });
    },
    async findEditor() {
      for (;;) {
        const element = getElement(this.editor);
        if (element?.editorPromise) return element;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  },
};
