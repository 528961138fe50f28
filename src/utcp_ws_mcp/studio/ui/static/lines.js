// The lines of a conversation: only those in sight are in the document. All text is text, never HTML.
export default {
  template: `
    <q-virtual-scroll
      ref="scroll"
      class="lines"
      role="listbox"
      tabindex="0"
      :aria-label="label"
      :aria-activedescendant="selected === null ? undefined : lineId(selected)"
      :items="rows"
      :virtual-scroll-item-size="28"
      :virtual-scroll-slice-size="40"
      @keydown="onKey"
      @virtual-scroll="onScroll"
    >
      <template v-slot="{ item }">
        <div
          :key="item.n"
          :id="lineId(item.n)"
          role="option"
          :aria-selected="item.n === selected"
          :class="['line', 'line-' + item.d, { 'line-chosen': item.n === selected }]"
          @click="choose(item.n)"
        >
          <span class="line-time">{{ item.t }}</span>
          <span class="line-direction"><span aria-hidden="true">{{ arrow(item.d) }}</span><span class="unseen">{{ item.d }}</span></span>
          <span :class="['line-role', 'role-' + (item.m || item.r)]">{{ item.m ? item.m + ' ✓' : item.r }}</span>
          <span class="line-text">{{ item.x }}</span>
          <span class="line-size">{{ item.s }}</span>
        </div>
      </template>
    </q-virtual-scroll>
  `,
  props: { label: String, follow: Boolean },
  emits: ["choose", "ready"],
  data() {
    return { rows: Object.freeze([]), selected: null };
  },
  created() {
    this.atEnd = true;
  },
  mounted() {
    // Quasar makes the element around the lines focusable, which a list box must not have in it.
    this.$el.querySelector(".q-virtual-scroll__content").removeAttribute("tabindex");
    this.$emit("ready"); // what was sent before is lost: a panel is in the document only after it was opened
  },
  methods: {
    lineId(number) {
      return `${this.$el?.id || "lines"}-${number}`;
    },
    arrow(direction) {
      return { sent: "→", received: "←" }[direction] || "·";
    },
    // `first`: lines with a smaller number are dropped.
    append(rows, first) {
      const kept = this.rows.length && this.rows[0].n < first ? this.rows.filter((row) => row.n >= first) : this.rows;
      this.rows = Object.freeze(kept.concat(rows.map(Object.freeze)));
      if (this.follow && this.atEnd) this.toEnd();
    },
    replace(rows) {
      this.rows = Object.freeze(rows.map(Object.freeze));
      this.atEnd = true;
      if (this.follow) this.toEnd();
    },
    // Changed rows have the same numbers as before.
    update(rows) {
      const changed = new Map(rows.map((row) => [row.n, Object.freeze(row)]));
      this.rows = Object.freeze(this.rows.map((row) => changed.get(row.n) || row));
    },
    toEnd() {
      this.$nextTick(() => this.$refs.scroll?.scrollTo(this.rows.length - 1, "end"));
    },
    onScroll({ to }) {
      this.atEnd = to >= this.rows.length - 3;
    },
    choose(number) {
      this.selected = number;
      this.$emit("choose", { number });
    },
    onKey(event) {
      const at = this.rows.findIndex((row) => row.n === this.selected);
      const page = 10;
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
      let next;
      if (event.key in steps) next = at + steps[event.key];
      else if (event.key === "Home") next = 0;
      else if (event.key === "End") next = this.rows.length - 1;
      else return;
      event.preventDefault();
      next = Math.max(0, Math.min(this.rows.length - 1, next));
      if (!this.rows.length) return;
      this.atEnd = next >= this.rows.length - 3;
      this.choose(this.rows[next].n);
      this.$refs.scroll.scrollTo(next);
    },
  },
};
