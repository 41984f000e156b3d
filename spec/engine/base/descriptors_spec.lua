-- Whoever starts a process may have closed its standard input and output.

local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"
local postgres = require "spec.postgres_server"

-- The files that a process has under the numbers 0 to 2.
local function low_files(pid)
  local _, out = helper.run("for fd in 0 1 2; do readlink /proc/" .. pid
    .. "/fd/$fd || echo closed; done")
  return out
end

describe("descriptors 0 to 2, when they are closed,", function()
  local place

  before_each(function()
    place = workplace.new()
    place:counter()
    place:count("a", 1)
  end)

  -- The command line through a shell that closes some.
  local function run(words, closed)
    local code, out, err = helper.run({ "/bin/sh", "-c",
      'exec "$@" ' .. closed, "sh", helper.lunette, table.unpack(words) },
      { cwd = place.folder, env = place.env, timeout = 20 })
    return code, out, err
  end

  it("end a command that would read or write them", function()
    local code, _, err = run({ "import", "-" }, "<&-")
    assert.equal("1 lunette import: reading standard input: "
      .. "Bad file descriptor\n", code .. " " .. err)
    code, _, err = run({ "append", "--stream", "s", "--type", "T",
      "--data", "-" }, "<&-")
    assert.equal("1 lunette append: reading standard input: "
      .. "Bad file descriptor\n", code .. " " .. err)
    code, _, err = run({ "events" }, ">&-")
    assert.equal("1 lunette: writing to standard output: "
      .. "Bad file descriptor\n", code .. " " .. err)
    assert.equal(1, (run({ "events" }, ">&- 2>&-")))
  end)

  it("are no matter to one that needs them not", function()
    local code, _, err = run({ "events" }, "<&-")
    assert.equal("0 ", code .. " " .. err)
    assert.equal(2, (run({ "nonsense" }, "<&- >&- 2>&-")))
    assert.equal(0, (run({ "run", "--once" }, "<&- >&- 2>&-")))
    assert.equal('{"id":"a","note":null,"total":1}\n',
      place:done { "--json", "get", "counter", "a" })
  end)

  it("are taken by nothing that the engine opens", function()
    local child = helper.spawn({ "/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-',
      "sh", helper.lunette, "run" }, { cwd = place.folder, env = place.env })
    helper.wait(function()
      local code, out = place:run { "--json", "get", "counter", "a" }
      return code == 0 and out:find('"total":1', 1, true)
    end)
    assert.equal(("/dev/null\n"):rep(3), low_files(child:pid()))
    child:kill "TERM"
    assert.equal(0, (child:wait()))
  end)

  -- A host that opens the library with all of them closed.
  local function hosted(models)
    local child = helper.spawn({ "/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-',
      "sh", "lua5.4", "-e", ([[
        local engine = assert(require "lunette".open {
          events = "memory:", models = "%s" })
        assert(engine:register "projections/counter.lua")
        assert(engine:append { stream = "a", type = "Counted",
          data = { id = "a", n = 1 } })
        assert(engine:start())
        assert(engine:wait { projection = "counter", timeout = 10 })
        assert(os.execute("for fd in 0 1 2; do "
          .. "readlink /proc/$PPID/fd/$fd >>low; done"))
        print "not into a store"
        engine:close()
      ]]):format(models) }, { cwd = place.folder, env = {
        LUA_PATH = package.path, LUA_CPATH = package.cpath,
        LD_PRELOAD = workplace.as_interpreter.env.LD_PRELOAD,
        ASAN_OPTIONS = workplace.as_interpreter.env.ASAN_OPTIONS,
      } })
    assert.equal(0, (child:wait()))
    assert.equal(("/dev/null\n"):rep(3), place:read "low")
  end

  it("are taken by nothing that a library opens", function()
    hosted "memory:"
  end)

  it("are no connection of a library to a server #postgres", function()
    local server, reason = postgres.start()
    if not server then
      return pending(reason)
    end
    hosted(server:new_database().url)
  end)
end)
