local helper = require "spec.helper"

-- A tree of the given files, looked at by lint.
local function lint(files)
  local folder = helper.tmpdir()
  for path, text in pairs(files) do
    assert(os.execute("mkdir -p '" .. folder .. "/"
      .. (path:match "^(.*)/" or "") .. "'"))
    helper.write_file(folder .. "/" .. path, text)
  end
  local code, out = helper.run { helper.root .. "/tools/lint", folder }
  return out, code
end

local function header(name, body)
  local guard = "LUN_" .. name:upper():gsub("%W", "_")
  return "/*\n * " .. name .. " - a sample.\n */\n\n#ifndef " .. guard
    .. "\n#define " .. guard .. "\n\n" .. body .. "\n\n#endif\n"
end

describe("lint", function()
  it("has nothing to say about a tree that keeps the rules", function()
    local out, code = lint {
      ["stores/memory/events.c"] =
        '#include <stdlib.h>\n\n#include "memory/kept.h"\n',
      ["stores/memory/kept.h"] = header("kept.h", '#include "store/a.h"'),
      ["engine/script/vm.c"] = "#include <lua.h>\n\n/*\n * A new class.\n"
        .. " */\nconst char *a = \"delete\", b = 'x'; // this\n",
      ["lua/x.lua"] = "return { 1 }\n",
    }
    assert.same({ 0, "lint: 4 files, nothing to complain about\n" },
      { code, out })
  end)

  local samples = {
    ["a store that includes the engine"] = {
      "stores/memory/events.c", '#include "settings/settings.h"\n',
      "a store includes contracts and its own library, "
        .. "not settings/settings.h",
    },
    ["a store that includes another store's library"] = {
      "stores/memory/events.c", "#include <sqlite3.h>\n",
      "not sqlite3.h",
    },
    ["a store that includes another store"] = {
      "stores/faulty/events.c", '#include "sqlite/connection.h"\n',
      "not sqlite/connection.h",
    },
    ["a layer that includes one below it"] = {
      "engine/data/row.c", '#include "store/model_store.h"\n',
      "engine/data includes itself and the layers above it, "
        .. "not store/model_store.h",
    },
    ["a folder that is no layer"] = {
      "engine/misc/a.c", "#include <stdio.h>\n", "engine/misc is no layer",
    },
    ["what follows the locale"] = {
      "stores/memory/events.c", "\tc = toupper(c);\n",
      "toupper follows the locale of the host",
    },
    ["a number written by printf"] = {
      "engine/api/status.c", '\tprint(out, "%.1f s", x);\n',
      "%.1f follows the locale of the host",
    },
    ["lua.h outside of the script host"] = {
      "engine/runtime/worker.c", "#include <lua.h>\n",
      "engine/runtime may not include lua.h",
    },
    ["lua.h in JSON that knows no Lua"] = {
      "engine/json/scan.c", "#include <lua.h>\n",
      "engine/json may not include lua.h",
    },
    ["sqlite3.h in the engine"] = {
      "engine/runtime/engine.c", "#include <sqlite3.h>\n",
      "engine/runtime may not include sqlite3.h",
    },
    ["libevent outside of the server"] = {
      "engine/runtime/watch.c", "#include <event2/event.h>\n",
      "engine/runtime may not include event2/event.h",
    },
    ["a header of the command in the library"] = {
      "engine/runtime/engine.c", '#include "cli/command.h"\n',
      "not cli/command.h",
    },
    ["an own header that is not first"] = {
      "engine/runtime/worker.c",
      '#include <stdio.h>\n\n#include "runtime/worker.h"\n',
      "own_header_first",
    },
    ["a second door into Lua"] = {
      "engine/script/script.c", "int a = lua_pcall(L, 1, 0, 0);\n",
      "lua_pcall belongs into engine/script/vm.c alone",
    },
    ["a table of folders without one that is there"] = {
      "engine/base/clock.h", header("clock.h", "int a;"),
      "does not list engine/base",
      "docs/architecture.md", "| folder | what | libraries |\n",
    },
    ["a table of folders in another order"] = {
      "docs/architecture.md",
      "| `engine/data/` | x | `xxhash.h` |\n| `engine/base/` | x | |\n",
      "engine/base stands below a folder that may include it",
    },
    ["a table of folders with another library"] = {
      "docs/architecture.md", "| `stores/sqlite/` | x | `sqlite3.h` |\n",
      "stores/sqlite may include sqlite3.h uuid/uuid.h",
    },
    ["a table of functions with one that is elsewhere"] = {
      "docs/architecture.md", "| a wait | `engine/wait.c` | `f()` |\n",
      "there is no engine/wait.c",
    },
    ["a table of functions with one that is gone"] = {
      "engine/api/wait.c", "int\ng(void)\n{\n\treturn 1;\n}\n",
      "engine/api/wait.c has no function f",
      "docs/architecture.md", "| a wait | `engine/api/wait.c` | `f()` |\n",
    },
    ["a spec with chance of its own"] = {
      "spec/x_spec.lua", "local n = math.random(6)\n",
      "random numbers come from helper.random",
    },
    ["a library that exits"] = {
      "engine/runtime/engine.c", "void\nf(void)\n{\n\texit(1);\n}\n",
      "the library does not use exit",
    },
    ["a library that prints"] = {
      "stores/sqlite/models.c",
      'void\nf(void)\n{\n\tfprintf(stderr, "no");\n}\n',
      "the library does not use stderr",
    },
    ["a header without a guard"] = {
      "engine/a.h", "/*\n * a.h - a sample.\n */\n\nint a;\n",
      "no include guard",
    },
    ["a header that does not say what it is for"] = {
      "engine/a.h", "\n#ifndef LUN_A_H\n#define LUN_A_H\n#endif\n",
      "does not begin with its name",
    },
    ["a tab in Lua"] = { "lua/x.lua", "do\n\treturn 1\nend\n", "a tab" },
    ["a long line of Lua"] = {
      "lua/x.lua", "return '" .. ("x"):rep(80) .. "'\n",
      "longer than 80 columns",
    },
    ["a space at the end of a line"] = {
      "README.md", "text \n", "space at the end of the line",
    },
    ["a file that does not end with a line end"] = {
      "README.md", "text", "exactly one line end",
    },
    ["a note to self"] = {
      "engine/a.c", "/* TO" .. "DO: more */\n", "no_notes_to_self",
    },
    ["a file that is too long"] = {
      "engine/a.c", ("int a;\n"):rep(801), "more than 800 lines",
    },
    ["a function that is too long"] = {
      "engine/a.c", "void\nf(void)\n{\n" .. ("\tf();\n"):rep(101) .. "}\n",
      "a function of more than 100 lines",
    },
    ["a public name that begins with no object of its folder"] = {
      "engine/query/like.c", "bool\nlun_like(void)\n{\n\treturn true;\n}\n",
      "lun_like begins with no object of engine/query",
    },
    ["an identifier that is a keyword of C++"] = {
      "engine/a.c", "/*\n * a\n */\n\nint template;\n",
      "engine/a.c:5: template is a keyword of C%+%+",
    },
    ["a link that leads nowhere"] = {
      "docs/a.md", "See [b](b.md).\n", "there is no b.md",
    },
    ["C that is laid out in another way"] = {
      "engine/a.c", "int f( void );\n", "clang%-format",
    },
    ["Lua that makes a global"] = {
      "lua/x.lua", "x = 1\n", "non%-standard global",
    },
  }
  for what, sample in pairs(samples) do
    it("complains about " .. what, function()
      local files = { [sample[1]] = sample[2], [sample[4] or 0] = sample[5] }
      if what:find "layout" or what:find "laid out" then
        files[".clang-format"] =
          helper.read_file(helper.root .. "/.clang-format")
      end
      local out, code = lint(files)
      assert.matches(sample[3], out)
      assert.equal(1, code)
    end)
  end

  it("complains about a variable of the library that can change", function()
    local folder = helper.tmpdir()
    helper.mkdir(folder .. "/build")
    helper.write_file(folder .. "/a.c", "int variable = 1;\n")
    assert.equal(0, (helper.run("cc -c a.c && ar rcs build/liblunette.a a.o "
      .. "&& rm a.o", { cwd = folder })))
    local _, out = helper.run { helper.root .. "/tools/lint", folder }
    assert.matches("not constant: variable", out)
  end)
end)
