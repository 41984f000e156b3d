/* locate.c - where in its text a script writes an entry of its table. */

#include "script/locate.h"

#include <stdbool.h>

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,   /* keywords too */
	TOKEN_STRING, /* in quotes, without escapes: text is what it holds */
	TOKEN_VALUE,  /* any other string, or a number */
	TOKEN_SYMBOL,
};

struct token {
	enum token_kind kind;
	struct lun_text text;
	int line;
};

/* Copied to look ahead. */
struct scanner {
	const char *at;
	const char *end;
	int line;
	struct token token; /* the present one */
};

/* ---- tokens ------------------------------------------------------------ */

static bool
sees(const struct scanner *s, size_t ahead, char byte)
{
	return (size_t)(s->end - s->at) > ahead && s->at[ahead] == byte;
}

static bool
is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* Lua's letters do not depend on a locale. */
static bool
is_letter(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
	       byte == '_';
}

/* One byte, or an end of a line in any of the forms that Lua counts as one. */
static void
pass_byte(struct scanner *s)
{
	char byte = *s->at++;

	if (byte != '\n' && byte != '\r')
		return;
	s->line++;
	if (sees(s, 0, byte == '\n' ? '\r' : '\n'))
		s->at++;
}

/* "[[ ... ]]" or "[==[ ... ]==]", if one begins here. */
static bool
pass_long_bracket(struct scanner *s)
{
	size_t level = 0;

	if (!sees(s, 0, '['))
		return false;
	while (sees(s, level + 1, '='))
		level++;
	if (!sees(s, level + 1, '['))
		return false;
	s->at += level + 2;
	while (s->at < s->end) {
		size_t closing = 0;

		if (!sees(s, 0, ']')) {
			pass_byte(s);
			continue;
		}
		s->at++;
		while (sees(s, closing, '='))
			closing++;
		s->at += closing;
		if (closing == level && sees(s, 0, ']')) {
			s->at++;
			break;
		}
	}
	return true;
}

static void
pass_space(struct scanner *s)
{
	while (s->at < s->end) {
		if (sees(s, 0, '-') && sees(s, 1, '-')) {
			s->at += 2;
			if (pass_long_bracket(s))
				continue;
			while (
			    s->at < s->end && *s->at != '\n' && *s->at != '\r')
				s->at++;
		} else if (*s->at == ' ' ||
			   (*s->at >= '\t' && *s->at <= '\r')) {
			pass_byte(s);
		} else {
			return;
		}
	}
}

static void
read_quoted(struct scanner *s)
{
	char quote = *s->at++;
	const char *start = s->at;

	s->token.kind = TOKEN_STRING;
	while (s->at < s->end && *s->at != quote) {
		if (*s->at == '\\') {
			s->token.kind = TOKEN_VALUE;
			s->at++;
		}
		if (s->at < s->end)
			pass_byte(s);
	}
	s->token.text = (struct lun_text){start, (size_t)(s->at - start)};
	if (s->at < s->end)
		s->at++;
}

static void
read_word(struct scanner *s)
{
	const char *start = s->at;

	s->token.kind = is_digit(*start) ? TOKEN_VALUE : TOKEN_NAME;
	while (s->at < s->end &&
	       (is_letter(*s->at) || is_digit(*s->at) ||
		   (*s->at == '.' && s->token.kind == TOKEN_VALUE)))
		s->at++;
	s->token.text = (struct lun_text){start, (size_t)(s->at - start)};
}

/* Single bytes, but for those that end in a "=" of their own. */
static void
read_symbol(struct scanner *s)
{
	bool compares = sees(s, 1, '=') && (*s->at == '=' || *s->at == '~' ||
					       *s->at == '<' || *s->at == '>');

	s->token.kind = TOKEN_SYMBOL;
	s->token.text = (struct lun_text){s->at, compares ? 2 : 1};
	s->at += s->token.text.length;
}

static void
advance(struct scanner *s)
{
	pass_space(s);
	s->token = (struct token){.kind = TOKEN_END, .line = s->line};
	if (s->at == s->end)
		return;
	if (*s->at == '"' || *s->at == '\'')
		read_quoted(s);
	else if (is_letter(*s->at) || is_digit(*s->at))
		read_word(s);
	else if (pass_long_bracket(s))
		s->token.kind = TOKEN_VALUE;
	else
		read_symbol(s);
}

static bool
is_symbol(const struct scanner *s, char symbol)
{
	return s->token.kind == TOKEN_SYMBOL && s->token.text.length == 1 &&
	       *s->token.text.bytes == symbol;
}

static bool
is_word(const struct scanner *s, const char *word)
{
	return s->token.kind == TOKEN_NAME &&
	       lun_text_equal(s->token.text, lun_text_of(word));
}

/* By how much the token changes the depth of brackets and blocks. */
static int
nesting(const struct scanner *s)
{
	if (is_symbol(s, '(') || is_symbol(s, '[') || is_symbol(s, '{') ||
	    is_word(s, "function") || is_word(s, "if") || is_word(s, "do") ||
	    is_word(s, "repeat"))
		return 1;
	if (is_symbol(s, ')') || is_symbol(s, ']') || is_symbol(s, '}') ||
	    is_word(s, "end") || is_word(s, "until"))
		return -1;
	return 0;
}

/* ---- tables ------------------------------------------------------------ */

/*
 * Go to the `return` that ends the chunk. False if there is none, or if the
 * chunk may have returned from within a block before.
 */
static bool
find_return(struct scanner *s)
{
	int depth = 0, function = 0; /* the depth inside the outermost one */

	for (advance(s); s->token.kind != TOKEN_END; advance(s)) {
		if (function == 0 && is_word(s, "return"))
			return depth == 0;
		if (function == 0 && is_word(s, "function"))
			function = depth + 1;
		depth += nesting(s);
		if (depth < function)
			function = 0;
	}
	return false;
}

/* To the "," or ";" behind the value, or the "}" that ends its table. */
static void
pass_value(struct scanner *s)
{
	int depth = 0;

	for (; s->token.kind != TOKEN_END; advance(s)) {
		if (depth == 0 && (is_symbol(s, ',') || is_symbol(s, ';') ||
				      is_symbol(s, '}')))
			return;
		depth += nesting(s);
	}
}

enum outcome {
	FOUND,
	ABSENT,
	UNCERTAIN,
};

/*
 * Pass "NAME =" or "["NAME"] =". Without one the key is of kind TOKEN_END: a
 * value stands alone. False if the key is computed.
 */
static bool
read_key(struct scanner *s, struct token *key)
{
	struct scanner ahead = *s;
	bool in_brackets = is_symbol(s, '[');

	*key = (struct token){.kind = TOKEN_END};
	if (!in_brackets && s->token.kind != TOKEN_NAME)
		return true;
	if (in_brackets) {
		advance(&ahead);
		*key = ahead.token;
		advance(&ahead);
		if (key->kind != TOKEN_STRING || !is_symbol(&ahead, ']'))
			return false;
	}
	advance(&ahead);
	if (!is_symbol(&ahead, '='))
		return true;
	if (!in_brackets)
		*key = s->token;
	advance(&ahead);
	*s = ahead;
	return true;
}

/*
 * Look for an entry of the table whose "{" is the present token, and go
 * behind its "}". The last of one name is the one that counts. On FOUND
 * `value` is at the entry's value and *line that of the entry.
 */
static enum outcome
find_entry(struct scanner *s, struct lun_text wanted, size_t item,
    struct scanner *value, int *line)
{
	enum outcome outcome = ABSENT;
	size_t items = 0;

	if (!is_symbol(s, '{'))
		return UNCERTAIN;
	advance(s);
	while (!is_symbol(s, '}')) {
		struct token key;
		bool named;

		if (s->token.kind == TOKEN_END || !read_key(s, &key))
			return UNCERTAIN;
		named = key.kind != TOKEN_END;
		if (named ? lun_text_equal(key.text, wanted)
			  : ++items == item) {
			outcome = FOUND;
			*value = *s;
			*line = named ? key.line : s->token.line;
		}
		pass_value(s);
		if (!is_symbol(s, '}'))
			advance(s);
	}
	advance(s);
	return outcome;
}

/* False if the table just passed is only part of an expression. */
static bool
value_ends(const struct scanner *s)
{
	return s->token.kind == TOKEN_END || is_symbol(s, ',') ||
	       is_symbol(s, ';') || is_symbol(s, '}');
}

int
lun_locate(struct lun_text source, const struct lun_locate_path *path)
{
	struct scanner s = {
	    .at = source.bytes, .end = source.bytes + source.length, .line = 1};
	struct scanner value = s, ignored;
	enum outcome outcome;
	int line = 0, table;

	if (source.length == 0 || !find_return(&s))
		return 0;
	table = s.token.line;
	if (path->key.bytes == NULL)
		return table;
	advance(&s);
	outcome = find_entry(&s, path->key, 0, &value, &line);
	if (outcome == UNCERTAIN || !value_ends(&s))
		return 0;
	if (outcome == ABSENT)
		return table;
	if (path->inner.bytes == NULL && path->item == 0)
		return line;
	outcome = find_entry(&value, path->inner, path->item, &ignored, &line);
	return outcome == FOUND && value_ends(&value) ? line : 0;
}
