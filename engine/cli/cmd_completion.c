/* cmd_completion.c - what shells need to complete the command line. */

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "cli/command.h"
#include "cli/options.h"

/* Prints one option; letter and argument may be absent. */
typedef void option_fn(struct lun_buffer *out, char letter, const char *name,
    const char *argument, const char *help, enum cli_kind kind);

static void
each_common_option(struct lun_buffer *out, option_fn *option)
{
	for (size_t i = 0; cli_common_options[i].name != NULL; i++) {
		const struct cli_common_option *common = &cli_common_options[i];

		option(out, common->letter, common->name, common->argument,
		    common->help, common->kind);
	}
	for (size_t i = 0; lun_setting_entries[i].name != NULL; i++) {
		const struct lun_setting_entry *entry = &lun_setting_entries[i];
		bool choice = entry->choices != NULL;
		char name[CLI_VARIABLE_NAME_MAX];

		if (strcmp(entry->name, "events") == 0 ||
		    strcmp(entry->name, "models") == 0)
			continue;
		cli_flag_name(entry->name, name);
		option(out, 0, name, choice ? entry->choices : entry->argument,
		    entry->help, choice ? CLI_CHOICE : CLI_TEXT);
	}
	option(out, 0, "help", NULL, "Describe the command", CLI_TEXT);
}

static void
each_option(struct lun_buffer *out, const struct cli_command *command,
    option_fn *option)
{
	for (size_t i = 0;
	     command->options != NULL && command->options[i].name != NULL; i++)
		option(out, 0, command->options[i].name,
		    command->options[i].argument, command->options[i].help,
		    command->options[i].kind);
}

/* "a|b|c" as "a b c". */
static void
add_words(struct lun_buffer *out, const char *choices)
{
	for (const char *p = choices; *p != '\0'; p++)
		lun_buffer_add_byte(out, *p == '|' ? ' ' : *p);
}

static void
add_command_names(struct lun_buffer *out)
{
	for (size_t i = 0; cli_commands[i] != NULL; i++)
		lun_buffer_printf(
		    out, "%s%s", i > 0 ? " " : "", cli_commands[i]->name);
}

/* ---- what stands for words of a kind ------------------------------------ */

/* The names of the scripts in the default folder. */
#define PROJECTIONS_SH                                                         \
	"for f in " CLI_DEFAULT_FOLDER "/*.lua; do "                           \
	"case $f in *_spec.lua|*'*'*) ;; "                                     \
	"*) f=${f##*/}; echo \"${f%%.lua}\";; esac; done"

/* The argument that completion is about: projections come after a choice. */
static enum cli_kind
kind_of_arguments(const struct cli_command *command)
{
	const struct cli_argument *argument = command->arguments;
	enum cli_kind kind = CLI_TEXT;

	for (; argument != NULL && argument->name != NULL; argument++)
		if (kind == CLI_TEXT || kind == CLI_CHOICE)
			kind = argument->kind;
	return kind;
}

static const char *
choices_of(const struct cli_command *command)
{
	const struct cli_argument *argument = command->arguments;

	return argument != NULL && argument->name != NULL &&
		       argument->kind == CLI_CHOICE
		   ? argument->name
		   : "";
}

/* ---- bash -------------------------------------------------------------- */

static void
bash_option(struct lun_buffer *out, char letter, const char *name,
    const char *argument, const char *help, enum cli_kind kind)
{
	(void)letter;
	(void)help;
	(void)kind;
	lun_buffer_printf(out, " --%s%s", name, argument != NULL ? "=" : "");
}

static void
bash_arguments(struct lun_buffer *out, const struct cli_command *command)
{
	enum cli_kind kind = kind_of_arguments(command);

	lun_buffer_printf(out, "words='");
	add_words(out, choices_of(command));
	if (kind == CLI_COMMAND)
		add_command_names(out);
	lun_buffer_printf(out, "'");
	if (kind == CLI_PROJECTION)
		lun_buffer_printf(out, "; names=1");
	if (kind == CLI_FILE || kind == CLI_FOLDER)
		lun_buffer_printf(out, "; files=1");
}

static void
write_bash(struct lun_buffer *out)
{
	lun_buffer_printf(out,
	    "# bash completion for lunette\n"
	    "_lunette() {\n"
	    "\tlocal line=${COMP_LINE:0:COMP_POINT} "
	    "cur=${COMP_WORDS[COMP_CWORD]}\n"
	    "\tlocal all last prev command= words= own= names= files= i\n"
	    "\tlocal common='");
	each_common_option(out, bash_option);
	/* Bash's own words end at every colon and equals sign. */
	lun_buffer_printf(out,
	    "'\n"
	    "\tread -ra all <<<\"$line\"\n"
	    "\t[[ $line == *[[:space:]] ]] && all+=('')\n"
	    "\t((last = ${#all[@]} - 1))\n"
	    "\tprev=${all[last-1]}\n"
	    "\t[[ ${all[last]} == --*=* ]] && prev=${all[last]%%%%=*}\n"
	    "\t[[ $cur == [:=] ]] && cur=\n"
	    "\tfor ((i = 1; i < last; i++)); do\n"
	    "\t\tcase ${all[i]} in\n"
	    "\t\t-c|-e|-m|-p) ((i++));;\n"
	    "\t\t-*) [[ \"$common \" == *\" ${all[i]}= \"* ]] && ((i++));;\n"
	    "\t\t*) command=${all[i]}; break;;\n"
	    "\t\tesac\n"
	    "\tdone\n"
	    "\tcase $command in\n"
	    "\t'') words='");
	add_command_names(out);
	lun_buffer_printf(out, "';;\n");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		lun_buffer_printf(out, "\t%s) ", cli_commands[i]->name);
		bash_arguments(out, cli_commands[i]);
		lun_buffer_printf(out, "; own='");
		each_option(out, cli_commands[i], bash_option);
		lun_buffer_printf(out, "';;\n");
	}
	lun_buffer_printf(out,
	    "\tesac\n"
	    "\t[[ $names ]] && words+=\" $(" PROJECTIONS_SH ")\"\n"
	    "\tif [[ $prev == -[cp] || $prev == --config || "
	    "$prev == --projections ]]; then\n"
	    "\t\twords= files=1\n"
	    "\telif [[ $prev == -[em] || $prev == --events || "
	    "$prev == --models ]]; then\n"
	    "\t\twords='sqlite: memory:' files=\n"
	    "\t\t[[ ${all[last]} == *:* ]] && words= files=1\n"
	    "\telif [[ \"$own$common \" == *\" $prev= \"* ]]; then\n"
	    "\t\treturn\n"
	    "\telif [[ $cur == -* ]]; then\n"
	    "\t\twords=$own$common files=\n"
	    "\tfi\n"
	    "\tCOMPREPLY=($(compgen -W \"$words\" ${files:+-f} -- \"$cur\"))\n"
	    "\t[[ $files ]] && compopt -o filenames\n"
	    "\t[[ ${COMPREPLY[0]} == *[=:] ]] && compopt -o nospace\n"
	    "}\n"
	    "complete -F _lunette lunette\n");
}

/* ---- zsh --------------------------------------------------------------- */

/* Within '...[...]': quotes, brackets and colons have a meaning there. */
static void
add_zsh_text(struct lun_buffer *out, const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\'')
			lun_buffer_add(out, "'\\''", 4);
		else if (strchr("[]:\\", *p) != NULL)
			lun_buffer_printf(out, "\\%c", *p);
		else
			lun_buffer_add_byte(out, *p);
	}
}

static void
zsh_action(struct lun_buffer *out, const char *name, enum cli_kind kind)
{
	switch (kind) {
	case CLI_CHOICE:
		lun_buffer_add_byte(out, '(');
		add_words(out, name);
		lun_buffer_add_byte(out, ')');
		break;
	case CLI_FILE:
		lun_buffer_printf(out, "_files");
		break;
	case CLI_FOLDER:
		lun_buffer_printf(out, "_files -/");
		break;
	case CLI_PROJECTION:
		lun_buffer_printf(out, "_lunette_projections");
		break;
	case CLI_COMMAND:
		lun_buffer_add_byte(out, '(');
		add_command_names(out);
		lun_buffer_add_byte(out, ')');
		break;
	default:
		break;
	}
}

static void
zsh_option(struct lun_buffer *out, char letter, const char *name,
    const char *argument, const char *help, enum cli_kind kind)
{
	bool repeated = strcmp(name, "projections") == 0;

	for (int form = letter != 0 ? 0 : 1; form < 2; form++) {
		lun_buffer_printf(out, " \\\n\t\t'%s", repeated ? "*" : "");
		if (form == 0)
			lun_buffer_printf(out, "-%c", letter);
		else
			lun_buffer_printf(
			    out, "--%s%s", name, argument != NULL ? "=" : "");
		lun_buffer_add_byte(out, '[');
		add_zsh_text(out, help);
		lun_buffer_add_byte(out, ']');
		if (argument != NULL) {
			lun_buffer_add_byte(out, ':');
			add_zsh_text(out, kind == CLI_CHOICE ? name : argument);
			lun_buffer_add_byte(out, ':');
			zsh_action(out, argument, kind);
		}
		lun_buffer_add_byte(out, '\'');
	}
}

static void
zsh_arguments(struct lun_buffer *out, const struct cli_command *command)
{
	const struct cli_argument *argument = command->arguments;

	for (; argument != NULL && argument->name != NULL; argument++) {
		lun_buffer_printf(
		    out, " \\\n\t\t'%s:", argument->repeated ? "*" : "");
		add_zsh_text(out,
		    argument->kind == CLI_CHOICE ? "action" : argument->name);
		lun_buffer_add_byte(out, ':');
		zsh_action(out, argument->name, argument->kind);
		lun_buffer_add_byte(out, '\'');
	}
}

static void
write_zsh(struct lun_buffer *out)
{
	lun_buffer_printf(out,
	    "#compdef lunette\n"
	    "_lunette_projections() {\n"
	    "\tlocal -a names=(${(f)\"$(setopt nonomatch; " PROJECTIONS_SH
	    ")\"})\n"
	    "\tcompadd -a names\n"
	    "}\n"
	    "_lunette_commands() {\n"
	    "\tlocal -a commands=(");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		lun_buffer_printf(out, "\n\t\t'%s:", cli_commands[i]->name);
		add_zsh_text(out, cli_commands[i]->summary);
		lun_buffer_add_byte(out, '\'');
	}
	lun_buffer_printf(out, ")\n"
			       "\t_describe command commands\n"
			       "}\n"
			       "_lunette() {\n"
			       "\tlocal curcontext=$curcontext state line\n"
			       "\tlocal -a common=(");
	each_common_option(out, zsh_option);
	lun_buffer_printf(out,
	    ")\n"
	    "\t_arguments -C -S $common '1: :_lunette_commands' "
	    "'*:: :->arguments'\n"
	    "\t[[ $state == arguments ]] || return\n"
	    "\tcase $line[1] in\n");
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		lun_buffer_printf(
		    out, "\t%s) _arguments -S $common", cli_commands[i]->name);
		each_option(out, cli_commands[i], zsh_option);
		zsh_arguments(out, cli_commands[i]);
		lun_buffer_printf(out, ";;\n");
	}
	lun_buffer_printf(out, "\tesac\n"
			       "}\n"
			       "_lunette \"$@\"\n");
}

/* ---- fish -------------------------------------------------------------- */

static void
add_fish_text(struct lun_buffer *out, const char *text)
{
	lun_buffer_add_byte(out, '\'');
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			lun_buffer_add_byte(out, '\\');
		lun_buffer_add_byte(out, *p);
	}
	lun_buffer_add_byte(out, '\'');
}

static void
fish_option(struct lun_buffer *out, char letter, const char *name,
    const char *argument, const char *help, enum cli_kind kind)
{
	lun_buffer_printf(out, " -l %s", name);
	if (letter != 0)
		lun_buffer_printf(out, " -s %c", letter);
	if (argument != NULL)
		lun_buffer_printf(
		    out, " -r%s", kind == CLI_FILE ? " -F" : " -f");
	if (kind == CLI_CHOICE) {
		lun_buffer_printf(out, " -a '");
		add_words(out, argument);
		lun_buffer_printf(out, "'");
	}
	lun_buffer_printf(out, " -d ");
	add_fish_text(out, help);
	lun_buffer_add_byte(out, '\n');
}

static void
fish_common_option(struct lun_buffer *out, char letter, const char *name,
    const char *argument, const char *help, enum cli_kind kind)
{
	lun_buffer_printf(out, "complete -c lunette");
	fish_option(out, letter, name, argument, help, kind);
}

static void
fish_arguments(struct lun_buffer *out, const struct cli_command *command)
{
	enum cli_kind kind = kind_of_arguments(command);
	const char *condition = "complete -c lunette -n "
				"'__fish_seen_subcommand_from";

	if (choices_of(command)[0] != '\0' || kind == CLI_COMMAND) {
		lun_buffer_printf(
		    out, "%s %s' -f -a '", condition, command->name);
		add_words(out, choices_of(command));
		if (kind == CLI_COMMAND)
			add_command_names(out);
		lun_buffer_printf(out, "'\n");
	}
	if (kind == CLI_PROJECTION)
		lun_buffer_printf(out,
		    "%s %s' -f -a '(__lunette_projections)'\n", condition,
		    command->name);
	if (kind == CLI_FILE || kind == CLI_FOLDER)
		lun_buffer_printf(out, "%s %s' -F\n", condition, command->name);
}

static void
write_fish(struct lun_buffer *out)
{
	lun_buffer_printf(out,
	    "# fish completion for lunette\n"
	    "function __lunette_projections\n"
	    "\tfor f in " CLI_DEFAULT_FOLDER "/*.lua\n"
	    "\t\tstring match -qr '_spec\\.lua$' $f\n"
	    "\t\tor string replace -r '.*/(.*)\\.lua$' '$1' $f\n"
	    "\tend\n"
	    "end\n"
	    "complete -c lunette -f\n");
	each_common_option(out, fish_common_option);
	for (size_t i = 0; cli_commands[i] != NULL; i++) {
		const struct cli_command *command = cli_commands[i];

		lun_buffer_printf(out,
		    "complete -c lunette -n __fish_use_subcommand -a %s -d ",
		    command->name);
		add_fish_text(out, command->summary);
		lun_buffer_add_byte(out, '\n');
		fish_arguments(out, command);
		for (size_t k = 0; command->options != NULL &&
				   command->options[k].name != NULL;
		     k++) {
			const struct cli_option *option = &command->options[k];

			lun_buffer_printf(out,
			    "complete -c lunette -n "
			    "'__fish_seen_subcommand_from %s'",
			    command->name);
			fish_option(out, 0, option->name, option->argument,
			    option->help, option->kind);
		}
	}
}

/* ---- the command ------------------------------------------------------- */

static enum lun_code
run_completion(struct cli *cli, struct lun_err *err)
{
	const char *shell = cli_argument(cli, 0);
	struct lun_buffer text = {0};

	(void)err;
	if (strcmp(shell, "bash") == 0)
		write_bash(&text);
	else if (strcmp(shell, "zsh") == 0)
		write_zsh(&text);
	else
		write_fish(&text);
	fwrite(text.bytes, 1, text.length, stdout);
	lun_buffer_free(&text);
	return LUN_OK;
}

static const struct cli_argument arguments[] = {
    {.name = "bash|zsh|fish", .kind = CLI_CHOICE},
    {.name = NULL},
};

const struct cli_command cmd_completion = {
    .name = "completion",
    .summary = "print a shell's completion script",
    .description = "Print what lets the shell complete command lines.",
    .examples = "source <(lunette completion bash)\n"
		"lunette completion fish > "
		"~/.config/fish/completions/lunette.fish\n",
    .arguments = arguments,
    .run = run_completion,
};
