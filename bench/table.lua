-- A table as it can be read in a terminal and pasted into a page: Markdown,
-- with columns that stand below each other.

local measure = require "bench.measure"

local tables = {}

local function commas(number)
  local text = ("%.0f"):format(number)
  local count
  repeat
    text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until count == 0
  return text
end

local function pad(text, column)
  local spaces = (" "):rep(column.width - utf8.len(text))
  return column.right and spaces .. text or text .. spaces
end

local function print_row(columns, cells)
  local padded = {}
  for i, column in ipairs(columns) do
    padded[i] = pad(cells[i] or "", column)
  end
  print("| " .. table.concat(padded, " | ") .. " |")
end

-- columns: a list of { title, width }, of numbers { title, width, "%.2f" }
-- (or "," for a whole number). Gives a function that prints a row.
function tables.begin(title, columns)
  print("\n" .. title .. "\n")
  local titles, rules = {}, {}
  for i, column in ipairs(columns) do
    column.width = math.max(column[2], utf8.len(column[1]))
    column.right = column[3] ~= nil
    titles[i] = column[1]
    rules[i] = ("-"):rep(column.width + 1) .. (column.right and ":" or "-")
  end
  print_row(columns, titles)
  print("|" .. table.concat(rules, "|") .. "|")
  return function(cells)
    local texts = {}
    for i, column in ipairs(columns) do
      local cell = cells[i]
      if type(cell) == "number" then
        cell = column[3] == "," and commas(cell) or column[3]:format(cell)
      end
      texts[i] = cell
    end
    print_row(columns, texts)
  end
end

-- What was measured in each turn. figures: { key in a turn, what it is, format
-- of numbers }; one that no turn has is left out.
function tables.figures(title, figures, turns)
  local row = tables.begin(title, { { "what", 46 }, { "median", 8, "%.2f" },
    { "least to most", 18 } })
  for _, figure in ipairs(figures) do
    local key, what, format = table.unpack(figure)
    local list = {}
    for _, turn in ipairs(turns) do
      list[#list + 1] = tonumber(turn[key])
    end
    if #list > 0 then
      local spread = measure.spread(list)
      row { what, format:format(spread.median), measure.range(spread, format) }
    end
  end
end

return tables
