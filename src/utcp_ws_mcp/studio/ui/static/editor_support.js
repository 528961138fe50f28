// Adds completion, documentation on hover and at the cursor to the editor of the manifest.
// The answers come from the studio, which reads them from the JSON schema; all of them are shown as text.
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
      const caret = /""$|\{\}$|\[\]$/.test(option.text) ? option.text.length - 1 : option.text.length;
      view.dispatch({
        changes: { from: answer.start, to: Math.max(answer.end, context.pos), insert: option.text },
        selection: { anchor: answer.start + caret },
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

export default {
  template: "<div></div>",
  props: { editor: Number, label: String },
  emits: ["cursor"],
  async mounted() {
    const element = await this.findEditor();
    const view = element.editor || (await element.editorPromise);
    const cursor = CM.EditorView.updateListener.of((update) => {
      if (!update.selectionSet && !update.docChanged) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.$emit("cursor", { offset: view.state.selection.main.head }), DELAY);
    });
    const extensions = [
      CM.EditorState.languageData.of(() => [{ autocomplete: complete }]),
      CM.EditorView.contentAttributes.of({ "aria-label": this.label }),
      hover,
      cursor,
    ];
    view.dispatch({ effects: CM.StateEffect.appendConfig.of(extensions) });
  },
  beforeUnmount() {
    clearTimeout(this.timer);
  },
  methods: {
    async findEditor() {
      for (;;) {
        const element = getElement(this.editor);
        if (element?.editorPromise) return element;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
  },
};
