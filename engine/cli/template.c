/* template.c - what `lunette new` writes. */

#include "cli/template.h"

#include <string.h>

#define PLACEHOLDER "NAME"

const char cli_template_script[] =
    "-- What NAME shows: say it here in a sentence.\n"
    "\n"
    "return {\n"
    "  name = \"NAME\",\n"
    "  version = 1, -- raise it when the models have to be built anew\n"
    "\n"
    "  -- The types of the events it wants; without this line, all of them.\n"
    "  handles = { \"ThingCreated\", \"ThingRenamed\", \"ThingDeleted\" },\n"
    "\n"
    "  -- The columns of a model besides its id: text, integer, number,\n"
    "  -- boolean, timestamp or json. The id is a text, unless a line says\n"
    "  -- id = \"integer\". Without fields a model is one JSON value.\n"
    "  fields = {\n"
    "    title = \"text\",\n"
    "    changes = \"integer\",\n"
    "    changed_at = \"timestamp\",\n"
    "  },\n"
    "  indexes = { \"changed_at\" },\n"
    "\n"
    "  -- Which model an event is about: a text, a list of texts, or nil.\n"
    "  extract_model_id = function(event)\n"
    "    return event.data.thing_id\n"
    "  end,\n"
    "\n"
    "  -- The model after the event. It is nil before its first event, and\n"
    "  -- returning nil deletes it. Also at hand: event.id, event.stream,\n"
    "  -- event.version, event.position and event.metadata.\n"
    "  apply_to_model = function(model, event, id)\n"
    "    if event.type == \"ThingDeleted\" then\n"
    "      return nil\n"
    "    end\n"
    "    model = model or { changes = 0 }\n"
    "    model.title = event.data.title\n"
    "    model.changes = model.changes + 1\n"
    "    model.changed_at = event.recorded_at\n"
    "    return model\n"
    "  end,\n"
    "\n"
    "  -- When a handler raises an error: \"stop\", \"skip\" the event, or\n"
    "  -- \"park\" it with all later events of that model.\n"
    "  on_error = \"stop\",\n"
    "}\n";

const char cli_template_spec[] =
    "local replay = require(\"lunette.testing\").replay\n"
    "\n"
    "local function event(type, title)\n"
    "  return { type = type, data = { thing_id = \"t1\", title = title } }\n"
    "end\n"
    "\n"
    "describe(\"NAME\", function()\n"
    "  it(\"keeps the last title\", function()\n"
    "    local models = replay(\"NAME\", {\n"
    "      event(\"ThingCreated\", \"first\"),\n"
    "      event(\"ThingRenamed\", \"second\"),\n"
    "    })\n"
    "    assert.equal(\"second\", models.t1.title)\n"
    "    assert.equal(2, models.t1.changes)\n"
    "  end)\n"
    "\n"
    "  it(\"forgets what was deleted\", function()\n"
    "    local models = replay(\"NAME\", {\n"
    "      event(\"ThingCreated\", \"first\"),\n"
    "      event(\"ThingDeleted\"),\n"
    "    })\n"
    "    assert.is_nil(models.t1)\n"
    "  end)\n"
    "end)\n";

void
cli_template_fill(
    const char *text, const char *projection, struct lun_buffer *out)
{
	const char *found;

	while ((found = strstr(text, PLACEHOLDER)) != NULL) {
		lun_buffer_add(out, text, (size_t)(found - text));
		lun_buffer_add(out, projection, strlen(projection));
		text = found + strlen(PLACEHOLDER);
	}
	lun_buffer_add(out, text, strlen(text));
}
