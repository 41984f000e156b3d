local helper = require "spec.helper"
local lunette = require "lunette"
local workplace = require "spec.engine.cli.workplace"

local commands = {
  "append", "import", "events", "run", "status", "pause", "resume", "rebuild",
  "get", "query", "new", "check", "test", "parked", "gaps", "checkpoint",
  "layouts", "help",
}

describe("the command line", function()
  local place

  before_each(function()
    place = workplace.new()
  end)

  it("shows an overview of the commands alone", function()
    local code, out, err = place:run {}
    assert.same({ 0, "" }, { code, err })
    for _, name in ipairs(commands) do
      assert.matches("\n  " .. name .. " +%a", out)
    end
    assert.is_true(select(2, out:gsub("\n", "")) < 30)
  end)

  for _, name in ipairs(commands) do
    it("describes " .. name .. " to people and programs alike", function()
      local out = place:done { name, "--help" }
      assert.matches("^Usage: lunette " .. name, out)
      assert.matches("--models=URL", out, 1, true)
      assert.equal(out, place:done { "help", name })
      for line in out:gmatch "[^\n]*" do
        assert.is_true(utf8.len(line) <= 80, line)
      end
      local json = place:done { "help", name, "--json" }
      assert.matches(json:sub(1, -2), place:done { "help", "--json" }, 1, true)
      local described = lunette.decode(json)
      assert.equal(name, described.name)
      for _, option in ipairs(described.options) do
        assert.matches(" --" .. option.name .. (option.argument
          and "=" .. option.argument or ""), out, 1, true)
      end
    end)
  end

  it("has every setting as a flag in --help", function()
    local out = place:done { "--help" }
    local settings = helper.read_file(helper.root
      .. "/engine/settings/settings.c")
    for name in settings:gmatch '%.name = "([%l_]+)"' do
      assert.matches("--" .. name:gsub("_", "-") .. "=", out, 1, true)
    end
  end)

  it("tells its version", function()
    assert.matches("^lunette %d+%.%d+%.%d+\n$", place:done { "--version" })
    assert.matches("^lunette %d+%.%d+%.%d+\n$",
      place:done { "append", "--version" })
  end)

  it("takes unknown words as misuse, and guesses what was meant", function()
    local code, out, err = place:run { "stauts" }
    assert.same({ 2, "" }, { code, out })
    assert.matches('"stauts"; did you mean "status"?', err, 1, true)
    code, out, err = place:run { "help", "stauts" }
    assert.same({ 2, "" }, { code, out })
    assert.matches('"stauts"; did you mean "status"?', err, 1, true)
    code, out, err = place:run { "status", "--bogus" }
    assert.same({ 2, "" }, { code, out })
    assert.matches("'--bogus'", err, 1, true)
    assert.equal(2, (place:run { "status", "surplus" }))
    assert.equal(2, (place:run { "get", "counter" }))
    assert.equal(2, (place:run { "run", "--poll-ms", "often" }))
  end)

  it("shows of wrong words neither passwords nor what hides", function()
    for _, argv in ipairs {
      { "postgres://u:p@ss@h/db\u{202e}" },
      { "status", "postgres://u:p@ss@h/db\u{202e}" },
      { "status", "--log-level", "postgres://u:p@ss@h/db\u{202e}" },
      { "status", "--database=postgres://u:p@ss@h/db\u{202e}" },
      { "--database=postgres://u:p@ss@h/db\u{202e}", "status" },
    } do
      local code, _, err = place:run(argv)
      assert.equal(2, code)
      assert.matches("postgres://u:***@h/db\\u202e", err, 1, true)
    end
  end)

  it("takes options before and after the command", function()
    place.env = {}
    place:done { "-e", "sqlite:x.db", "append", "--stream", "s", "--type", "T",
      "--data", "1" }
    assert.matches('"stream":"s"',
      place:done { "--json", "events", "-e", "sqlite:x.db" }, 1, true)
  end)

  it("prints its tables for programs", function()
    local program = lunette.decode(place:done { "help", "--json" })
    local listed = {}
    for i, command in ipairs(program.commands) do
      listed[i] = command.name
    end
    assert.same(commands, listed)
    assert.equal("lunette " .. program.version .. "\n",
      place:done { "--version" })
    assert.same({ name = "json", help = "Print results as JSON" },
      program.options[5])
    assert.same({ name = "once", required = false,
      help = program.commands[4].options[1].help },
      program.commands[4].options[1])
    assert.same({ { name = "FILE", kind = "file", optional = false,
      repeated = true } }, program.commands[2].arguments)
    local synchronous = program.settings[3]
    assert.same({ name = "synchronous", option = "synchronous",
      argument = "WORD", kind = "choice", choices = { "off", "normal", "full" },
      default = "normal", help = synchronous.help }, synchronous)
    assert.equal(2, (place:run { "help", "nothing", "--json" }))
  end)

  it("fails when its results cannot be written, and says why", function()
    local lines = {}
    for i = 1, 1000 do
      lines[i] = ('{"stream":"s","type":"T","data":%d}\n'):format(i)
    end
    place:done({ "import", "-" }, { stdin = table.concat(lines) })
    for _, words in ipairs {
      { "help", "--json" },
      { "--help" },
      { "--version" },
      {},
      { "help", "append" },
      { "append", "--help" },
      { "events", "--limit", "0" },
      { "events", "--limit", "0", "--json" },
    } do
      local options = { stdout = "/dev/full" }
      local child = place:spawn(words, options)
      assert.equal(1, (child:wait()), table.concat(words, " "))
      assert.equal("lunette: writing to standard output: No space left on "
        .. "device\n", child:stderr())
    end
  end)
end)
