/** What the interpretability report has beside the pages' common style: words and targets. */
export const EXPLANATION_STYLE = `
.target { border-top: 1px solid var(--line); padding-top: 14px; margin-top: 18px; }
.target h4 { margin: 0; font-size: 15px; } .target > p { font-size: 14px; }
.words { font-size: 14px; margin: 8px 0 0; } .words b { font-weight: 500; padding: 1px 5px; border-radius: 4px; margin-right: 2px; }
.words .title { color: var(--soft); display: inline-block; min-width: 220px; }
.p1 { background: rgba(230, 97, 1, 0.14); } .p2 { background: rgba(230, 97, 1, 0.32); }
.p3 { background: rgba(230, 97, 1, 0.55); } .n1 { background: rgba(94, 60, 153, 0.14); }
.n2 { background: rgba(94, 60, 153, 0.32); } .n3 { background: rgba(94, 60, 153, 0.55); }
.plain li { margin: 4px 0; } .plain { padding-left: 20px; max-width: 78ch; }
.prose { max-width: 78ch; }
.sheet dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 20px; margin: 0; padding: 14px 18px; font-size: 14px; }
.sheet dt { color: var(--soft); } .sheet dd { margin: 0; overflow-wrap: anywhere; }
.panels { grid-template-columns: repeat(auto-fill, minmax(min(240px, 100%), 1fr)); }
`;
