from open_seq2seq.config.parameters import Bool, Either, Float, Int, List, Parameter, Struct
from open_seq2seq.experiment import reference


def test_the_page_in_docs_is_current():
    with open(reference.PAGE, encoding="utf-8") as file:
        assert file.read() == reference.as_markdown(), "run: python -m open_seq2seq.experiment.reference"


def test_dicts_with_keys_of_their_own_get_a_section_each():
    parameters = (
        Parameter("layers", List(Struct((Parameter("width", Int(minimum=1), doc="a width"),))), doc="the layers"),
        Parameter("noise", Either(Float(), Struct((Parameter("level", Float(), default=0.5),))), default=None),
        Parameter("old", Bool(), ignored="long gone"),
        Parameter("level_old", Float(), replaced_by="level"),
    )
    assert reference.as_text([("`part`", parameters)]).split("\n") == [
        "", "part",
        "  layers: a list, each item a dict, default required. the layers",
        "  noise: a number or a dict, default None. ",
        "  old: accepted without effect: long gone",
        "  level_old: a number, default required. older name of level",
        "", "layers in part",
        "  width: an integer at least 1, default required. a width",
        "", "noise in part",
        "  level: a number, default 0.5. "]


def test_everything_that_takes_parameters_is_on_the_page():
    page = reference.as_markdown()
    for title in ("`base_params`", "`convnet_layers` in `encoder_params` of TDNNEncoder", "`loss_params` of CTCLoss",
                  "`augmentation` in `data_layer_params` of Speech2TextDataLayer", "`optimizer_params` of NovoGrad",
                  "`optimizer_params` of Momentum", "`lr_policy_params` of poly_decay", "`larc_params`",
                  "`loss_scaling_params` of LogMax", "`decoder_params` of FullyConnectedCTCDecoder",
                  "further `data_layer_params` of PretrainingDataLayer", "`decoder_params` of ClusterPredictionDecoder",
                  "`loss_params` of LFMMILoss", "`loss_params` of MaskedPredictionLoss"):
        assert "\n## %s\n" % title in page


def test_a_config_s_own_classes_are_listed(write_config):
    path = write_config("""
        from open_seq2seq.config.parameters import Int, Parameter
        class OwnLoss:
            PARAMETERS = (Parameter("sharpness", Int(), default=3, doc="how sharp"),)
        base_params["loss"] = OwnLoss
    """)
    text = reference.reference_of_config(path)
    assert "loss_params of OwnLoss\n  sharpness: an integer, default 3. how sharp" in text
    assert "CTCLoss" not in text.split("loss_params of")[1] and "optimizer_params of MomentumOptimizer" in text
