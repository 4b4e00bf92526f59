const QUESTION = String.raw`(?:\?|\$\d+)`;
/** Placeholders of drivers that name them: `%s`, `%(name)s`, `:name`, `@name`. */
const NAMED = String.raw`(?:%s|%\(\w+\)s|[:@]\w+)`;
const ANY = String.raw`(?:\?|\$\d+|%s|%\(\w+\)s|[:@]\w+|NULL|DEFAULT)`;

const QUESTIONS = String.raw`\( ?${QUESTION}(?: ?, ?${QUESTION})+ ?\)`;
const QUESTION_ROWS = String.raw`\(${QUESTION}\)(?: ?, ?\(${QUESTION}\))+`;
const ROW = String.raw`\( ?${ANY}(?: ?, ?${ANY})* ?\)`;

const ALL_QUESTIONS = new RegExp(QUESTIONS, "g");
const ALL_QUESTION_ROWS = new RegExp(QUESTION_ROWS, "g");
const LISTED_QUESTIONS = new RegExp(String.raw`(?<=\b(?:IN|VALUES) )${QUESTIONS}`, "gi");
const LISTED_ROWS = new RegExp(String.raw`(?<=\bVALUES )${ROW}(?: ?, ?${ROW})*`, "gi");
const IN_LIST = new RegExp(String.raw`\bIN \( ?${ANY}(?: ?, ?${ANY})+ ?\)`, "gi");
const HAS_NAMED = new RegExp(NAMED);
const ONLY_QUESTIONS = new RegExp(`^(?:[(), ]|${QUESTION})*$`);
const MANY = /,/;

/**
 * Lists of values become one: a statement must not be a new one for every number of values. With literals in the text
 * every list is folded, as the Node agent does; without, only those behind IN and VALUES, as the Django agent does, so
 * that what either of them sends stays as it is. Whitespace is single spaces.
 */
export function foldLists(text: string, hadLiterals: boolean): string {
  let folded = text;
  if (hadLiterals) folded = folded.replace(ALL_QUESTIONS, "(?)").replace(ALL_QUESTION_ROWS, "(?)");
  else folded = folded.replace(LISTED_QUESTIONS, "(?)");
  return folded
    .replace(IN_LIST, (list) => (HAS_NAMED.test(list.slice(3)) ? "IN (%s)" : list))
    .replace(LISTED_ROWS, (rows) => {
      if (HAS_NAMED.test(rows)) return "(%s)";
      return ONLY_QUESTIONS.test(rows) && MANY.test(rows) ? "(?)" : rows;
    });
}
