--! uses ends
-- Ended jobs on their way into the archive.
--
-- {name}:deleted  set  ids of ended jobs that somebody has deleted lately: if they are archived meanwhile, they are
--                      deleted there as well; expires

-- For each of these jobs how its end is told from another end of it; false: it has not ended, or is not here.
local function signs_of(ids)
    local records, left, kept = read(key('jobs'), ids), {}, {}
    for i, id in ipairs(ids) do
        if records[i] and ended_as(id) then
            left[#left + 1] = i
        else
            records[i] = false
        end
    end
    for _, slot in ipairs(slots()) do
        local asked, rest = {}, {}
        for j, i in ipairs(left) do
            asked[j] = ids[i]
        end
        for j, found in ipairs(read(slot, asked)) do
            if found then
                kept[left[j]] = found
            else
                rest[#rest + 1] = left[j]
            end
        end
        left = rest
    end
    local signs, sizes = {}, {}
    for i = 1, #ids do
        local place = records[i] and (string.match(records[i], '^%d+') or '')
        -- A result may be taken out of what is kept, and all of it may expire.
        signs[i] = place and place .. ' ' .. (kept[i] and server.sha1hex(string.match(kept[i], '^[^\n]*')) or '')
        sizes[i] = records[i] and #records[i] + #(kept[i] or '') or 0
    end
    return signs, sizes
end

-- Whether an end is the one that was signed.
local function is_same(sign, signed)
    return sign == signed or (sign and string.match(sign, '^%d* $') and string.match(signed, '^%d* ') == sign)
end
