local helper = require "spec.helper"
local workplace = require "spec.engine.cli.workplace"

local commands = {
  "append", "import", "events", "run", "status", "pause", "resume", "rebuild",
  "get", "query", "new", "check", "test", "parked", "gaps", "checkpoint",
  "help", "man", "completion",
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
    it("describes " .. name .. " in help and manual alike", function()
      local out = place:done { name, "--help" }
      assert.matches("^Usage: lunette " .. name, out)
      assert.matches("--models=URL", out, 1, true)
      assert.equal(out, place:done { "help", name })
      for line in out:gmatch "[^\n]*" do
        assert.is_true(utf8.len(line) <= 80, line)
      end
      local page = place:done { "man", name }
      assert.matches("^%.TH ", page)
      for option in out:gmatch "\n +%-%-(%l[%l-]*)=" do
        assert.matches("\\-\\-" .. option:gsub("%-", "\\-"), page, 1, true)
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
    assert.matches('"stauts"; "status"?', err, 1, true)
    code, out, err = place:run { "status", "--bogus" }
    assert.same({ 2, "" }, { code, out })
    assert.matches("'--bogus'", err, 1, true)
    assert.equal(2, (place:run { "status", "surplus" }))
    assert.equal(2, (place:run { "get", "counter" }))
    assert.equal(2, (place:run { "run", "--poll-ms", "often" }))
  end)

  it("takes options before and after the command", function()
    place.env = {}
    place:done { "-e", "sqlite:x.db", "append", "--stream", "s", "--type", "T",
      "--data", "1" }
    assert.matches('"stream":"s"',
      place:done { "--json", "events", "-e", "sqlite:x.db" }, 1, true)
  end)

  it("writes the manual pages into a folder", function()
    helper.mkdir(place:path "man")
    place:done { "man", "./man" }
    assert.matches("^%.TH LUNETTE 1", place:read "man/lunette.1")
    for _, name in ipairs(commands) do
      assert.matches("^%.TH ", place:read("man/lunette-" .. name .. ".1"))
    end
  end)

  it("completes words in bash", function()
    place:counter()
    place:write("c.bash", place:done { "completion", "bash" } .. [==[
# As bash does it: colons and equals signs are words of their own.
try() {
  COMP_LINE=$1 COMP_POINT=${#1} COMPREPLY=()
  read -ra COMP_WORDS <<<"$(sed 's/[:=]/ & /g' <<<"$1")"
  [[ $1 == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _lunette 2>/dev/null
  echo "${COMPREPLY[*]}"
}
try 'lunette che'
try 'lunette -e sqlite:x.db parked re'
try 'lunette --events=sqlite:x.db --models sqlite:x.db sta'
try 'lunette get '
try 'lunette append --meta'
try 'lunette run --busy'
try 'lunette --events '
try 'lunette run -m sqlite:c.b'
try 'lunette -c c.'
try 'lunette check --config=c.b'
try 'lunette append --stream get '
try 'lunette rebuild --timeout '
]==])
    local code, out = helper.run({ "bash", "c.bash" }, { cwd = place.folder })
    assert.equal(0, code)
    assert.equal("check checkpoint\nretry\nstatus\ncounter\n--metadata=\n"
      .. "--busy-timeout-ms=\nsqlite: memory:\nc.bash\nc.bash\nc.bash\n"
      .. "\n\n", out)
  end)

  it("has completion for zsh and fish", function()
    assert.matches("^#compdef lunette\n", place:done { "completion", "zsh" })
    assert.matches("complete -c lunette", place:done { "completion", "fish" },
      1, true)
    assert.equal(2, (place:run { "completion", "tcsh" }))
  end)

  it("fails when its results cannot be written, and says why", function()
    local lines = {}
    for i = 1, 1000 do
      lines[i] = ('{"stream":"s","type":"T","data":%d}\n'):format(i)
    end
    place:done({ "import", "-" }, { stdin = table.concat(lines) })
    for _, words in ipairs {
      { "man" },
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
