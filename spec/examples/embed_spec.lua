-- examples/embed.c, built as a stranger would build it and run.

local helper = require "spec.helper"
local lunette = require "lunette"

local sanitizers = { address = "address,undefined", thread = "thread" }

-- What pkg-config would say of an installed library, for the one in build/.
local function flags(static)
  local sanitize = sanitizers[os.getenv "LUNETTE_SANITIZE" or ""]
  local parts = {
    "-std=c11 -Wall -Wextra -Wpedantic -Werror",
    "-I" .. helper.root .. "/engine",
    sanitize and "-fsanitize=" .. sanitize or "",
  }
  if static then
    parts[#parts + 1] = helper.build .. "/liblunette.a"
      .. " $(pkg-config --libs lua5.4) -lsqlite3 -lpq -luuid -lxxhash -lm"
      .. " -pthread"
  else
    parts[#parts + 1] = "-L" .. helper.build .. " -Wl,-rpath," .. helper.build
      .. " -llunette"
  end
  return table.concat(parts, " ")
end

local function build(folder, static)
  local program = folder .. "/embed"
  local code, _, err = helper.run(
    ("${CC:-cc} -o %s %s/examples/embed.c %s"):format(program, helper.root,
      flags(static)), { env = { LD_PRELOAD = false } })
  assert.equal(0, code, err)
  return program
end

local function check(static)
  local folder = helper.tmpdir()
  local program = build(folder, static)
  local options = { env = { LD_PRELOAD = false } }
  local code, out, err = helper.run({ program, folder }, options)
  assert.equal(0, code, err)
  assert.same({ { id = "lamp", pieces = 7 }, { id = "moon", pieces = 1 } },
    lunette.decode(out))

  code, out = helper.run({ program, folder }, options)
  assert.equal(0, code)
  assert.same({ { id = "lamp", pieces = 14 }, { id = "moon", pieces = 2 } },
    lunette.decode(out))
  return program, folder
end

describe("the example of embedding in C", function()
  it("builds with the static library and keeps a stock", function()
    check(true)
  end)

  it("builds with the shared library, which exports what it needs", function()
    check(false)
  end)

  it("says what is wrong in one line and fails", function()
    local program = build(helper.tmpdir(), true)
    local code, out, err = helper.run({ program, "/nonexistent/folder" },
      { env = { LD_PRELOAD = false } })
    assert.equal(1, code)
    assert.equal("", out)
    assert.matches("^[^\n]*/nonexistent/folder[^\n]*%(%l+%)\n$", err)
  end)
end)
