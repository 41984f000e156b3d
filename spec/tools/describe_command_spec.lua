-- Manual pages and completions, from the tables of the command.

local helper = require "spec.helper"
local lunette = require "lunette"

describe("tools/describe-command", function()
  local folder, program

  lazy_setup(function()
    folder = helper.tmpdir()
    helper.mkdir(folder .. "/man")
    local code, json = helper.run { helper.lunette, "help", "--json" }
    assert.equal(0, code)
    program = lunette.decode(json)
    local written, _, err = helper.run({ "lua5.4", "tools/describe-command",
      folder }, { stdin = json, cwd = helper.root })
    assert.equal(0, written, err)
  end)

  it("writes a page for every command, with every option", function()
    assert.matches("^%.TH LUNETTE 1", helper.read_file(folder
      .. "/man/lunette.1"))
    for _, command in ipairs(program.commands) do
      local page = helper.read_file(folder .. "/man/lunette-" .. command.name
        .. ".1")
      assert.matches("^%.TH LUNETTE\\%-%u+ 1 ", page)
      for _, options in ipairs { command.options, program.options } do
        for _, option in ipairs(options) do
          assert.matches("\\fB\\-\\-" .. option.name:gsub("%-", "\\-")
            .. "\\fR", page, 1, true)
        end
      end
    end
  end)

  it("writes every setting into the page of the program", function()
    local page = helper.read_file(folder .. "/man/lunette.1")
    for _, setting in ipairs(program.settings) do
      assert.matches("\\-\\-" .. setting.option:gsub("%-", "\\-") .. "\\fR=",
        page, 1, true)
      assert.matches("Default: " .. (setting.default or ""), page, 1, true)
    end
  end)

  it("completes words in bash", function()
    helper.mkdir(folder .. "/projections")
    helper.write_file(folder .. "/projections/counter.lua", "")
    helper.write_file(folder .. "/projections/counter_spec.lua", "")
    helper.write_file(folder .. "/c.bash", [==[
source ./bash
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
    local code, out = helper.run({ "bash", "c.bash" }, { cwd = folder })
    assert.equal(0, code)
    assert.equal("check checkpoint\nretry\nstatus\ncounter\n--metadata=\n"
      .. "--busy-timeout-ms=\nsqlite: memory:\nc.bash\nc.bash\nc.bash\n"
      .. "\n\n", out)
  end)

  it("writes completion for zsh and fish", function()
    local zsh = helper.read_file(folder .. "/zsh")
    local fish = helper.read_file(folder .. "/fish")
    assert.matches("^#compdef lunette\n", zsh)
    for _, command in ipairs(program.commands) do
      assert.matches("\n *" .. command.name .. "%) _arguments ", zsh)
      assert.matches("\ncomplete %-c lunette %-n __fish_use_subcommand %-a "
        .. command.name .. " ", fish)
    end
  end)

  it("refuses what is no table of a command", function()
    for _, text in ipairs { "", "{}", "nonsense" } do
      local code, _, err = helper.run({ "lua5.4", "tools/describe-command",
        folder }, { stdin = text, cwd = helper.root })
      assert.equal(1, code)
      assert.matches("tools/describe-command:", err, 1, true)
    end
  end)
end)
